"""Modules that are imported when they are first needed, which in most runs is never."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


class Later:
    """Stands for a module, and imports it when something of it is asked for.

    The type checker is told of the real import: `if TYPE_CHECKING: import re`, `else: re = Later("re")`.
    """

    def __init__(self, name: str) -> None:
        self._name = name

    def __getattr__(self, attribute: str) -> Any:
        value = getattr(__import__(self._name, fromlist=["*"]), attribute)
        setattr(self, attribute, value)
        return value
