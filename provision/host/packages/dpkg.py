"""What Debian's package database says, and who holds it."""

from __future__ import annotations

import errno
import fcntl
import os
import re
import shutil
import struct
import time
from typing import NamedTuple

from provision.host.machine import Machine
from provision.host.resource import Failure

LOCKS = (
    "/var/lib/dpkg/lock-frontend",
    "/var/lib/dpkg/lock",
    "/var/lib/apt/lists/lock",
    "/var/cache/apt/archives/lock",
)
"""The files that apt and dpkg lock while they work."""

PATIENCE = 600.0
"""Seconds to wait for somebody else to finish."""

BROKEN = "half-installed"
"""The status of a package that has to be unpacked again."""

_FORMAT = r"${Package}\t${Architecture}\t${db:Status-Status}\t${db:Status-Eflag}\t${Version}\t${Provides}\n"
_ABSENT = ("not-installed", "config-files")
# struct flock of 64-bit Linux: type, whence, start, length, pid
_FLOCK = "hhqqi4x"


class Installed(NamedTuple):
    """A package that is on the host, if only halfway."""

    version: str
    status: str
    """`installed`, or how far it came: `unpacked`, `half-configured`, `half-installed`, …"""


class Database:
    """All packages of the host, as one `dpkg-query` tells them."""

    def __init__(self, listing: str) -> None:
        self._packages: dict[str, Installed] = {}
        self._provided: set[str] = set()
        rows = [line.split("\t") for line in listing.splitlines() if line.count("\t") == 5]
        native = next((row[1] for row in rows if row[0] == "dpkg"), "")
        for name, architecture, status, flag, version, provides in rows:
            if status in _ABSENT:
                continue
            found = Installed(version, BROKEN if flag == "reinstreq" else status)
            self._packages[f"{name}:{architecture}"] = found
            if architecture in (native, "all"):
                self._packages[name] = found
            if found.status == "installed":
                self._provided.update(re.findall(r"(?:^|, )([^ ,(]+)", provides))

    def get(self, name: str) -> Installed | None:
        """Return a package by name or `name:architecture`; None when it is not there at all."""
        return self._packages.get(name)

    def provides(self, name: str) -> bool:
        """Tell whether an installed package stands in for the virtual package `name`."""
        return name in self._provided

    def unfinished(self) -> list[str]:
        """Return the packages that a killed dpkg has left unpacked or half configured."""
        return sorted(
            name
            for name, package in self._packages.items()
            if ":" not in name
            and package.status in ("unpacked", "half-configured", "triggers-awaited", "triggers-pending")
        )


def database(machine: Machine) -> Database:
    """Return the package database, read once a run; `forget` it after a change.

    Raises:
        Failure: this is no Debian.
    """
    return machine.once("dpkg", lambda: _query(machine))


def forget(machine: Machine) -> None:
    """Have the database read again."""
    machine.forget("dpkg")


def interrupted() -> bool:
    """Tell whether dpkg was killed while it worked, and has left its journal."""
    try:
        return any(name.isdigit() for name in os.listdir("/var/lib/dpkg/updates"))
    except FileNotFoundError:
        return False


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
                f"the package database is held by {who} for more than {PATIENCE / 60:.0f} minutes",
                hint=f"see what {who} is doing, and apply again when it is done",
            )
        if not said or waited - said >= 5:
            said = waited or 0.001
            machine.waiting(id, f"the package database, held by {who}", waited)
        machine.sleep(0.5)


def holder() -> str | None:
    """Return who holds a lock of apt or dpkg, such as `unattended-upgr (pid 712)`; None when it is free.

    Only asks (`F_GETLK`), and so never gets in anybody's way.
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


def _query(machine: Machine) -> Database:
    if shutil.which("dpkg-query") is None:
        raise Failure("this host has no dpkg", hint="`packages` is for Debian, Ubuntu and their like")
    return Database(machine.run(["dpkg-query", "-W", "-f", _FORMAT]).out)
