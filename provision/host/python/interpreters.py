"""The Pythons of a host: finding one by name, and whether an environment has the declared one."""

from __future__ import annotations

import os
import re
from typing import NamedTuple

from provision.host.failure import Failure
from provision.host.files.paths import which
from provision.host.machine import Machine
from provision.host.python import known

DEFAULT = "python3"

# Every look at an environment asks, so it imports next to nothing (`os` and `json` would double the time).
_ASK = (
    "import sys; from importlib.machinery import PathFinder as f; "
    "print('%d.%d.%d' % sys.version_info[:3]); "
    "print(int(all(map(f.find_spec, ('venv', 'ensurepip'))))); "
    "print(getattr(sys, '_base_executable', None) or sys.executable); "
    "files = {line.split(None, 5)[5].rstrip() for line in open('/proc/self/maps') if '/' in line}; "
    "files.update(m.__file__ for m in sys.modules.values() if getattr(m, '__file__', None)); "
    "print(*files, sep='\\n')"
)


class Interpreter(NamedTuple):
    """A Python that can be started."""

    path: str
    version: str
    """"3.12.3"."""
    base: str
    """The file behind links, wrappers and environments."""
    makes_environments: bool
    """It has venv and ensurepip, which Debian ships in a package of their own."""

    @property
    def minor(self) -> str:
        """Return "3.12": what an environment's packages are installed for."""
        return ".".join(self.version.split(".")[:2])


def find(machine: Machine, name: str) -> Interpreter | None:
    """Return the Python that a name on PATH or an absolute path means, or None when there is none."""
    path = _path(name)
    return ask(machine, path) if path else None


def ask(machine: Machine, path: str) -> Interpreter | None:
    """Start a Python to ask what it is; None when it does not start."""
    try:
        ended = machine.run([path, "-I", "-S", "-c", _ASK], check=False, timeout=30)
        version, whole, base, *files = ended.out.splitlines()
    except (Failure, ValueError):
        return None
    found = Interpreter(path, version, os.path.realpath(base), whole == "1")
    known.note(machine, path, files, [version, found.base])
    return found


def look(machine: Machine, path: str) -> Interpreter | None:
    """Return what a Python is, without starting one whose files are the same as when it was last asked.

    Whether it makes environments is not known then: it counts as one that does not.
    """
    answer = None if machine.deep else known.recall(machine, path)
    if answer is None:
        return ask(machine, path)
    version, base = answer
    return Interpreter(path, version, base, False)


def satisfies(machine: Machine, wanted: str, found: Interpreter) -> bool:
    """Tell whether an environment's Python is the one that is asked for.

    A name with a version ("python3.12") asks for that version, wherever it is; any other name or path asks
    for that very file.
    """
    version = wanted[len("python") :] if wanted.startswith("python") else ""
    if version and all(number.isdigit() for number in version.split(".")):
        return (found.version + ".").startswith(version + ".")
    path = _path(wanted)
    other = look(machine, path) if path else None
    return other is not None and other.base == found.base


def _path(name: str) -> str | None:
    path = name if os.path.isabs(name) else which(name)
    return path if path and os.access(path, os.X_OK) and not os.path.isdir(path) else None


def require(machine: Machine, name: str) -> Interpreter:
    """Return the Python of this name, able to make environments.

    Raises:
        Failure: there is none, or it has no venv; the hint names the package to install.
    """
    found = find(machine, name)
    named = os.path.basename(name)
    if found is None:
        if os.path.isabs(name) and os.path.exists(name):
            raise Failure("missing-python", f"{name}: this is not a Python that can be started")
        hint = "set python to one that this host has"
        if os.path.exists("/etc/debian_version") and re.fullmatch(r"python3(\.\d+)?", named):
            hint = f"add {named}-venv to packages, or set python to one that this host has"
        raise Failure("missing-python", f"{name}: no such Python on this host", hint=hint)
    if not found.makes_environments:
        hint = "install the venv and ensurepip modules of this Python"
        if found.base.startswith("/usr/bin/") and os.path.exists("/etc/debian_version"):
            hint = f"add python{found.minor}-venv to packages"
        raise Failure(
            "missing-program",
            f"{name} (Python {found.version}) cannot make environments: ensurepip is missing",
            hint=hint,
        )
    return found
