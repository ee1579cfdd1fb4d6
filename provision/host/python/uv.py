"""Running uv instead of pip: the same packages from the same indexes, much faster."""

from __future__ import annotations

import json
import os
import re
import shutil
from typing import Callable, NamedTuple, Sequence

from provision.host.failure import Failure
from provision.host.files.paths import make_directories
from provision.host.machine import TAIL, Machine
from provision.host.python import cache, contested, inside
from provision.host.python.pip import Pip, Unchanged, fatal, mismatch, scratch, unpacking, write_listing
from provision.host.python.pip_configuration import Settings

REQUIREMENT = "uv>=0.8"
"""The oldest release that knows all that is asked of it here."""

_NOISE = re.compile(r"^( [+~-] |warning: Failed to hardlink|Using Python |\s*$)")
_TO_INSTALL = re.compile(r" \+ (\S+)==(\S+)$")
_BEGUN = ("Prepared ", "Uninstalled ", "Installed ")


class Unfit(Failure):
    """uv cannot do it, or not on this host; pip may."""


def obtain(machine: Machine, pip: Pip) -> str:
    """Return the path of this host's uv; pip fetches it from the index of the packages when it is not there.

    It is kept in our state directory, for all environments.

    Raises:
        Unfit: it cannot be fetched, or does not start here.
    """
    found = machine.once("uv", lambda: _obtain(machine, pip))
    if isinstance(found, Unfit):
        raise found
    return found


def program(machine: Machine) -> str:
    """Return the path of this host's uv, which need not be there."""
    return os.path.join(machine.state, "uv", "bin", "uv")


def _obtain(machine: Machine, pip: Pip) -> str | Unfit:
    path = program(machine)
    directory = os.path.dirname(os.path.dirname(path))
    if _starts(machine, path):
        return path
    shutil.rmtree(directory, ignore_errors=True)
    make_directories(directory)
    try:
        pip.fetch(REQUIREMENT, directory)
    except Failure as failure:
        machine.sleep(0)  # a run that was cancelled ends here
        shutil.rmtree(directory, ignore_errors=True)
        return Unfit("pip-failed", f"uv cannot be fetched ({failure.message})", hint=failure.hint)
    if not _starts(machine, path):
        return Unfit("pip-failed", "the uv that pip fetched does not start on this host")
    return path


def _starts(machine: Machine, path: str) -> bool:
    try:
        return machine.run([path, "--version"], check=False, timeout=30).code == 0
    except Failure:
        return False


class Uv(NamedTuple):
    """uv instead of the pip of an environment."""

    pip: Pip
    path: str
    """The program."""
    settings: Settings
    """What makes it do as pip is configured to do."""

    def install(self, requirements: Sequence[str], *, exactly: bool = False) -> None:
        """Install requirements as pip writes them, and compile them: services may not write there.

        With `exactly` these alone, each in one version: hashes say which file of which index, if they have
        some.

        Raises:
            Unfit: it did not work; pip may do better.
            Failure: it did not work, and cannot with pip either.
        """

        def tell(line: str) -> None:
            if not _NOISE.match(line):
                self.pip.machine.output(self.pip.id, line)

        with scratch() as directory, unpacking(self.pip.spec.path) as temporary:
            place = self._cache() or temporary
            doubtful = [] if exactly else self._contested(directory, place, requirements)
            if doubtful:
                tell(f"pip chooses among the files that several indexes have of {', '.join(doubtful)}")
                self.pip.install(doubtful, dependencies=False)
            listing = self._listing(directory, self.settings.lines, requirements)
            alone = ["--no-deps"] if exactly else []
            self._run(place, ["install", "--compile-bytecode", *alone, "--requirements", listing], tell)

    def _cache(self) -> str | None:
        """Return the cache that environments share; None for an environment at a path of its own."""
        path = cache.place(self.pip.spec)
        if path is not None:
            self.pip.machine.once(("uv cache", path), lambda: cache.freshen(path))
        return path

    def _contested(self, directory: str, place: str, requirements: Sequence[str]) -> list[str]:
        """Return what would be installed and has different wheels in another index ("soundfile==0.14.0")."""
        orders = contested.orders(self.settings.lines)
        if len(orders) < 2:
            return []
        listing = self._listing(directory, self.settings.lines, requirements)
        printed = self._run(place, ["install", "--dry-run", "--requirements", listing])
        pins = {found[1]: f"{found[1]}=={found[2]}" for found in map(_TO_INSTALL.match, printed) if found}
        if not pins:
            return []
        locks = []
        for number, lines in enumerate(orders):
            listing = self._listing(directory, lines, list(pins.values()))
            lock = os.path.join(directory, f"pylock.{number}.toml")
            form = ["--format", "pylock.toml", "--output-file", lock]
            self._run(place, ["compile", "--no-deps", *form, listing])
            with open(lock, encoding="utf-8") as file:
                locks.append(file.read())
        return [pins[name] for name in self._doubtful(contested.contested(locks))]

    def _doubtful(self, packages: dict[str, list[list[str]]]) -> list[str]:
        """Leave out the packages of which every index has the wheel that pip would take."""
        if not packages:
            return []
        command = inside.command(self.pip.spec.path, "doubtful")
        asked = self.pip.machine.run(command, input=json.dumps(packages), check=False)
        try:
            return [name for name in json.loads(asked.out) if name in packages]
        except ValueError:
            return list(packages)  # this pip cannot tell, but it can choose

    def _listing(self, directory: str, lines: Sequence[str], requirements: Sequence[str]) -> str:
        return write_listing(directory, lines, self.pip.spec.constraints, requirements)

    def _run(
        self, place: str, arguments: Sequence[str], tell: Callable[[str], None] | None = None
    ) -> list[str]:
        """Run it with a cache on the environment's disk: what is unpacked there is linked, not copied."""
        environment = self.pip.spec.path
        argv = [self.path, "pip", *arguments, "--python", os.path.join(environment, "bin", "python")]
        env = {**self.settings.env, "UV_CACHE_DIR": place, "TMPDIR": place}
        lines: list[str] = []

        def on_line(line: str) -> None:
            lines.append(line)
            if tell:
                tell(line)

        ended = self.pip.machine.run(
            inside.command(environment, "uv"),
            input=json.dumps({"argv": argv, "env": env}),
            on_line=on_line,
            check=False,
        )
        if ended.code != 0:
            raise explain(lines, ended.code, environment)
        return lines


def explain(lines: Sequence[str], code: int, environment: str) -> Failure:
    """Return the failure that uv's output tells of; the arguments are those of `pip.fatal`."""
    failure = fatal("uv", lines, code, environment)
    if failure is not None:
        return failure
    other = re.search(r"Hash mismatch for `([^`]+)`", " ".join(lines))
    if other:
        return _UnfitUnchanged(*mismatch(other[1]), log=lines[-TAIL:])
    tail = lines[-TAIL:]
    text = told(lines)
    message = "uv: " + (text or (tail[-1].strip() if tail else "failed and said nothing"))
    if not any(line.startswith(_BEGUN) for line in lines):
        return _UnfitUnchanged("pip-failed", message, log=tail)
    return Unfit("pip-failed", message, log=tail)


def told(lines: Sequence[str]) -> str:
    """Return what uv says is wrong, on one line; empty where it says nothing."""
    text = " ".join(line.strip(" │╰─▶├×") for line in lines if line.startswith(("  ", "error:")))
    return re.sub(
        r"^(error: )?(No solution found when resolving dependencies:?( cause:)? )?", "", text
    ).strip()


class _UnfitUnchanged(Unfit, Unchanged):
    """uv gave up before it had changed anything."""
