"""Importing the host side from one file with the code of all its modules.

`boot.py` executes this from that very file.

Most runs find a converged host, and importing everything would take longer than looking at it. So the modules
get an `__import__` of their own. At the top level of a module it does less than usual:

    import x, import x.y          imports when something of the module is first used
    from package import module    the same, when the module is one of the host side
    from module import name       takes the name from `light/module.py`, when there is one,
                                  or imports at once, as everywhere

An import in a function is executed at once. Relative imports are not supported.
"""

from __future__ import annotations

import builtins
import marshal
import os
import sys
from _thread import RLock

LIGHT = "provision.host.light."


class Modules:
    """Imports the host side's modules from their compiled code.

    Python's own import system could do it, but takes 20 µs longer for each module.

    Args:
        file: the open file with the code, as `marshal` writes it.
        index: module -> the path of its source in the archive, where its code is in `file`, and its size;
            the path of a source that is kept as text -> the same of the text.
    """

    def __init__(self, file: int, index: dict[str, tuple[str, int, int]]) -> None:
        self.builtins = {**vars(builtins), "__import__": self.import_}
        self._file = file
        self._index = index
        self._packages = {name for name, (source, _, _) in index.items() if source.endswith("/__init__.py")}
        self._light = {name[len(LIGHT) :]: name for name in index if name.startswith(LIGHT)}
        self._complete: dict[str, object] = {}
        self._lock = RLock()  # held while a module is executed, which must not wait for a thread

    def load(self, name: str) -> object:
        """Import a module, unless that is done, and return it.

        Raises:
            ModuleNotFoundError: there is no module of this name.
        """
        if name not in self._index:
            __import__(name)
            return sys.modules[name]
        found = self._complete.get(name)
        if found is None:
            with self._lock:
                found = sys.modules.get(name) or self._execute(name)
        return found

    def get_source(self, name: str) -> str:
        """Return the text of a module that is also a program, one of `PROGRAMS` in `unpack.py`."""
        _, at, size = self._index[self._index[name][0]]
        return os.pread(self._file, size, at).decode("utf-8")

    def import_(
        self,
        name: str,
        globals: dict[str, object] | None = None,
        locals: dict[str, object] | None = None,
        fromlist: tuple[str, ...] | None = (),
        level: int = 0,
    ) -> object:
        """Carry out an import statement of the host side; the arguments are those of `__import__`."""
        users = globals if locals is globals else None
        if not fromlist:
            top = name.partition(".")[0]
            earlier = users.get(top) if users else None
            if type(earlier) is Later:
                earlier._names.append(name)
                return earlier
            return self._module(top, name, users)
        if name in self._packages:
            return self._parts(name, fromlist, users)
        if name in self._index:
            return self.load(name)
        if name in self._light:
            return self.load(self._light[name])
        return __import__(name, globals, locals, fromlist, level)

    def _execute(self, name: str) -> object:
        parent, _, child = name.rpartition(".")
        package = self.load(parent) if parent else None
        source, at, size = self._index[name]
        module = sys.modules[name] = type(sys)(name)
        names = vars(module)
        names["__file__"] = source
        names["__loader__"] = self
        names["__builtins__"] = self.builtins
        try:
            exec(marshal.loads(os.pread(self._file, size, at)), names)
        except BaseException:
            del sys.modules[name]
            raise
        if package is not None:
            setattr(package, child, module)
        self._complete[name] = module
        return module

    def _parts(self, package: str, names: tuple[str, ...], users: dict[str, object] | None) -> object:
        """Return what has these names of a package: its modules, and what else it defines."""
        found = _Names()
        for each in names:
            module = f"{package}.{each}"
            if module in self._index:
                setattr(found, each, self._module(module, module, users))
            elif hasattr(self.load(package), each):
                setattr(found, each, getattr(self.load(package), each))
        return found

    def _module(self, module: str, name: str, users: dict[str, object] | None) -> object:
        """Return a module, with `name` imported; or what stands for it in the globals of its user."""
        if users is not None and name not in sys.modules:
            return Later(self, users, module, name)
        self.load(name)
        return sys.modules[module]


class Later:
    """Stands for a module in the globals of another one, until something of it is used."""

    __slots__ = ("_globals", "_module", "_modules", "_names")

    def __init__(self, modules: Modules, globals: dict[str, object], module: str, name: str) -> None:
        self._modules = modules
        self._globals = globals
        self._module = module
        self._names = [name]

    def __getattr__(self, attribute: str) -> object:
        for name in self._names:
            self._modules.load(name)
        module = sys.modules[self._module]
        for name, value in list(self._globals.items()):
            if value is self:
                self._globals[name] = module
        return getattr(module, attribute)


class _Names:
    """What `from package import …` takes its names from."""
