"""Importing the host side from one file with the code of all its modules.

`boot.py` executes this from that very file.
"""

from __future__ import annotations

import marshal
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from importlib.abc import Loader
    from importlib.machinery import ModuleSpec
    from types import ModuleType
    from typing import Any
else:
    Loader = object


class Modules(Loader):
    """Imports the host side's modules from their compiled code."""

    def __init__(self, directory: str, code: dict[str, tuple[str, bytes]]) -> None:
        self.directory = directory
        self.code = code

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> ModuleSpec | None:
        """Tell the import system of a module that is here."""
        if name not in self.code:
            return None
        file = self.code[name][0]
        # The class of every module's __spec__; to import it by its name would take longer than what it does.
        spec = type(sys.__spec__)(
            name, self, origin=f"{self.directory}/{file}", is_package=file.endswith("/__init__.py")
        )
        spec.has_location = True
        return spec

    def create_module(self, spec: ModuleSpec) -> None:
        """Leave making the module to the import system."""

    def exec_module(self, module: ModuleType) -> None:
        """Fill it."""
        exec(marshal.loads(self.code[module.__name__][1]), module.__dict__)
