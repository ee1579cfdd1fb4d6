"""What Debian's package database says, and who holds it."""

from __future__ import annotations

import errno
import fcntl
import os
import struct
import time
from typing import Iterator, NamedTuple

from provision.host.failure import Failure
from provision.host.machine import Machine

LOCKS = (
    "/var/lib/dpkg/lock-frontend",
    "/var/lib/dpkg/lock",
    "/var/lib/apt/lists/lock",
    "/var/cache/apt/archives/lock",
)
"""The files that apt and dpkg lock while they work."""

PATIENCE = 600.0
"""Seconds to wait for somebody else to finish."""

_HALFWAY = ("unpacked", "half-configured", "triggers-awaited", "triggers-pending")

BROKEN = "half-installed"
"""The status of a package that has to be unpacked again."""

STATUS = "/var/lib/dpkg/status"
"""The package database: a paragraph for each package, as apt reads it, too."""

JOURNAL = "/var/lib/dpkg/updates"
"""Where dpkg notes what it does until that is in the database."""

_FIELDS = ("Package", "Architecture", "Status", "Version", "Provides")
_FORMAT = "".join(f"{field}: ${{{field}}}\\n" for field in _FIELDS) + "\\n"
_ABSENT = ("not-installed", "config-files")
# struct flock of 64-bit Linux: type, whence, start, length, pid
_FLOCK = "hhqqi4x"


class Installed(NamedTuple):
    """A package that is on the host, maybe only halfway."""

    version: str
    status: str
    """`installed`, or how far it came: `unpacked`, `half-configured`, `half-installed`, …"""


class Database:
    """All packages of the host, as the text of the database tells them.

    It may have thousands of paragraphs, so only those that are asked for are read.
    """

    def __init__(self, text: str) -> None:
        self._text = f"\n\n{text}\n\n"
        self._native = next((fields.get("Architecture", "") for fields in self._named("dpkg")), "")

    def get(self, name: str) -> Installed | None:
        """Return a package by name or `name:architecture`; None when it is not there at all."""
        bare, _, architecture = name.partition(":")
        fitting = (architecture,) if architecture else (self._native, "all")
        for fields in self._named(bare):
            _, flag, status = fields["Status"].split()
            if fields.get("Architecture") in fitting and status not in _ABSENT:
                return Installed(fields["Version"], BROKEN if flag == "reinstreq" else status)
        return None

    def provides(self, name: str) -> bool:
        """Tell whether an installed package provides the virtual package `name`."""
        for fields in self._with("\nProvides: "):
            provided = [entry.split()[0] for entry in fields["Provides"].split(",") if entry.strip()]
            if name in provided and fields["Status"].split()[1:] == ["ok", "installed"]:
                return True
        return False

    def unfinished(self) -> list[str]:
        """Return the packages that a killed dpkg has left unpacked or half configured."""
        found = [(state, fields) for state in _HALFWAY for fields in self._with(f" {state}\n")]
        return sorted(
            {fields["Package"] for state, fields in found if fields["Status"].split()[1:] == ["ok", state]}
        )

    def _named(self, name: str) -> Iterator[dict[str, str]]:
        return self._with(f"\nPackage: {name}\n")

    def _with(self, text: str) -> Iterator[dict[str, str]]:
        """Yield the fields of each paragraph in which a text occurs."""
        found = self._text.find(text)
        while found >= 0:
            begin = self._text.rindex("\n\n", 0, found + 2) + 2
            end = self._text.index("\n\n", begin)
            lines = self._text[begin:end].split("\n")
            yield dict(line.partition(": ")[::2] for line in lines if not line.startswith(" "))
            found = self._text.find(text, end)


def database(machine: Machine) -> Database:
    """Return the package database, read once a run; `forget` it after a change.

    Raises:
        Failure: this is no Debian.
    """
    return machine.once("dpkg", lambda: _read(machine))


def forget(machine: Machine) -> None:
    """Have the database read again."""
    machine.forget("dpkg")


def interrupted() -> bool:
    """Tell whether dpkg was killed while it worked, and has left its journal."""
    return os.path.isdir(JOURNAL) and any(name.isdigit() for name in os.listdir(JOURNAL))


def wait_until_free(machine: Machine, id: str) -> None:
    """Wait until nobody holds the package database, and say who does.

    Raises:
        Failure: it was still held after `PATIENCE` seconds, or the run was cancelled.
    """
    started = time.monotonic()
    said = 0.0
    while True:
        who = holder()
        if who is None:
            return
        waited = time.monotonic() - started
        if waited > PATIENCE:
            raise Failure(
                "apt-locked",
                f"the package database has been held by {who} for more than {PATIENCE / 60:.0f} minutes",
                hint=f"see what {who} is doing, and apply again when it is done",
            )
        if not said or waited - said >= 5:
            said = waited or 0.001
            machine.waiting(id, f"the package database, held by {who}", waited)
        machine.sleep(0.5)


def holder() -> str | None:
    """Return who holds a lock of apt or dpkg, such as `unattended-upgr (pid 712)`; None when it is free.

    It only asks (`F_GETLK`), and so never blocks anybody.
    """
    for path in LOCKS:
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            continue
        try:
            question = struct.pack(_FLOCK, fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0)
            kind, _, _, _, pid = struct.unpack(_FLOCK, fcntl.fcntl(descriptor, fcntl.F_GETLK, question))
        except OSError as error:
            if error.errno == errno.EINVAL:
                continue  # a file system without locks
            raise
        finally:
            os.close(descriptor)
        if kind != fcntl.F_UNLCK:
            return _process(pid)
    return None


def _process(pid: int) -> str:
    try:
        with open(f"/proc/{pid}/comm", encoding="utf-8", errors="replace") as file:
            return f"{file.read().strip()} (pid {pid})"
    except OSError:
        return "a process outside this container" if pid <= 0 else f"pid {pid}"


def _read(machine: Machine) -> Database:
    try:
        with open(STATUS, encoding="utf-8", errors="replace") as file:
            text = file.read()
    except FileNotFoundError:
        hint = "`packages` is for Debian, Ubuntu and their like"
        raise Failure("missing-program", "this host has no dpkg", hint=hint) from None
    if interrupted():
        # dpkg is at work, or was killed: it knows best what its journal means.
        text = machine.run(["dpkg-query", "-W", "-f", _FORMAT]).out
    return Database(text)
