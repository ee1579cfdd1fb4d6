"""Importing the host side from one file with the code of all its modules.

`boot.py` executes this from that very file.

Most runs find a converged host, and importing everything would take longer than looking at it. So the modules
get an `__import__` of their own, which does less for the statements at the top level of a module:

    import x, import x.y          imports when something of the module is first used
    from package import module    the same, when the module is one of the host side
    from module import name       takes the name from `light/module.py`, when there is one,
                                  or imports at once, as everywhere

An import in a function is an ordinary one.
"""

from __future__ import annotations

import builtins
import marshal
import sys
from _frozen_importlib import ModuleSpec

LIGHT = "provision.host.light"


class Modules:
    """Imports the host side's modules from their compiled code.

    Args:
        directory: where the sources are, for tracebacks.
        code: module -> its source file's path in the directory, and its code as `marshal` writes it.
    """

    def __init__(self, directory: str, code: dict[str, tuple[str, bytes]]) -> None:
        self.directory = directory
        self.code = code
        self.packages = {name for name, (file, _) in code.items() if file.endswith("/__init__.py")}
        self.builtins = {**vars(builtins), "__import__": self.import_}

    def find_spec(self, name: str, path: object = None, target: object = None) -> ModuleSpec | None:
        """Return the spec of a module that is here; None for others."""
        if name not in self.code:
            return None
        return ModuleSpec(name, self, is_package=name in self.packages)  # type: ignore[arg-type]

    def create_module(self, spec: ModuleSpec) -> None:
        """Let the import system create the module."""

    def exec_module(self, module: object) -> None:
        """Execute the module's code."""
        names = vars(module)
        file, code = self.code[names["__name__"]]
        names["__file__"] = f"{self.directory}/{file}"
        names["__builtins__"] = self.builtins
        exec(marshal.loads(code), names)

    def import_(
        self,
        name: str,
        globals: dict[str, object] | None = None,
        locals: dict[str, object] | None = None,
        fromlist: tuple[str, ...] | None = (),
        level: int = 0,
    ) -> object:
        """Carry out an import statement of the host side; the arguments are those of `__import__`."""
        if globals is None or locals is not globals or level:
            return __import__(name, globals, locals, fromlist or (), level)
        if not fromlist:
            top = name.partition(".")[0]
            earlier = globals.get(top)
            if type(earlier) is Later:
                earlier._names.append(name)
                return earlier
            return _module(globals, top, name)
        if name not in self.packages:
            light = f"{LIGHT}.{name}"
            if light not in self.code:
                return __import__(name, fromlist=fromlist)
            __import__(light)
            return sys.modules[light]
        found = _Names()
        for each in fromlist:
            module = f"{name}.{each}"
            if module in self.code:
                setattr(found, each, _module(globals, module, module))
            elif hasattr(package := __import__(name, fromlist=(each,)), each):
                setattr(found, each, getattr(package, each))
        return found


class Later:
    """Stands for a module in the globals of another one, until something of it is used."""

    __slots__ = ("_globals", "_module", "_names")

    def __init__(self, globals: dict[str, object], module: str, name: str) -> None:
        self._globals = globals
        self._module = module
        self._names = [name]

    def __getattr__(self, attribute: str) -> object:
        for name in self._names:
            __import__(name)
        module = sys.modules[self._module]
        for name, value in list(self._globals.items()):
            if value is self:
                self._globals[name] = module
        return getattr(module, attribute)


class _Names:
    """What `from package import …` takes its names from."""


def _module(globals: dict[str, object], module: str, name: str) -> object:
    """Return a module when `name` has been imported, else what stands for it."""
    if name in sys.modules:
        __import__(name)  # waits for a thread that is importing it
        return sys.modules[module]
    return Later(globals, module, name)
