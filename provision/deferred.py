"""Modules of the standard library that others import at once, and hardly use.

click and dataclasses import `inspect`, with its `ast`, `dis` and `tokenize`, for the help of options; `uuid`
asks `platform` for the name of the system; `urllib.parse` checks addresses by `ipaddress`. They would take a
fifteenth of what a converged apply executes here, before it reaches a host.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from importlib import import_module
from types import ModuleType
from typing import Any


class _Later(ModuleType):
    """Stands for a module, and gets all that it has as soon as something is asked for that it lacks."""

    def __getattr__(self, name: str) -> Any:
        if name not in vars(_real(self.__name__)):
            raise AttributeError(f"module {self.__name__!r} has no attribute {name!r}")
        return vars(self)[name]


def _real(name: str) -> ModuleType:
    """Return a module itself, and give what stands for it all that it has."""
    found = sys.modules[name]
    if isinstance(found, _Later):
        del sys.modules[name]
        vars(found).update(vars(import_module(name)))
    return sys.modules[name]


def _cleandoc(text: str) -> str | None:
    if "\n" not in text and "\t" not in text:
        return text.lstrip()
    cleaned: str | None = vars(_real("inspect"))["cleandoc"](text)
    return cleaned


_DEFERRED: Mapping[str, Mapping[str, Any]] = {
    "inspect": {"cleandoc": _cleandoc},
    "ipaddress": {},
    "platform": {"system": lambda: os.uname().sysname},
}
"""Each with what every run uses of it."""


def defer() -> None:
    """Let those who import these modules from now on have what stands for them."""
    for name, parts in _DEFERRED.items():
        if name not in sys.modules:
            sys.modules[name] = _Later(name)
            vars(sys.modules[name]).update(parts)
