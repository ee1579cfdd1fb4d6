"""`dataclasses.dataclass`, which does its work for a class when that is used for the first time.

It compiles each method of each class anew in every run. A converged run imports a dozen such classes that it
makes no object of: others come from what earlier runs have compiled, or are not needed. They would take an
eighth of what it executes here.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import TYPE_CHECKING, Any


class _Later:
    """Stands for an attribute that `dataclasses` gives a class, until somebody asks for it."""

    def __init__(self, name: str, complete: Callable[[], None]) -> None:
        self._name = name
        self._complete = complete

    def __get__(self, thing: object, cls: type) -> Any:
        self._complete()
        return getattr(cls if thing is None else thing, self._name)


def _later(cls: Any = None, /, *, eq: bool = True, frozen: bool = False, repr: bool = True) -> Any:
    """Return a class as `dataclass` does; without one, what does so. Not for classes that threads share."""
    if cls is None:
        return lambda cls: _later(cls, eq=eq, frozen=frozen, repr=repr)
    names = ["__init__", "__dataclass_fields__", "__match_args__"]
    names += ["__repr__"] * repr + ["__eq__", "__hash__"] * eq + ["__setattr__", "__delattr__"] * frozen
    names = [name for name in names if name not in vars(cls)]

    def complete() -> None:
        for name in names:
            delattr(cls, name)
        names.clear()
        dataclasses.dataclass(eq=eq, frozen=frozen, repr=repr)(cls)

    for name in names:
        setattr(cls, name, _Later(name, complete))
    return cls


if TYPE_CHECKING:
    from dataclasses import dataclass as dataclass
else:
    dataclass = _later
