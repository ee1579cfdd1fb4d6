"""What systemd says about units, and what their journal holds."""

from __future__ import annotations

import os

from provision.host.machine import Machine
from provision.host.resource import Failure

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Iterable, TypeAlias

PROPERTIES = (
    "Id",
    "LoadState",
    "LoadError",
    "ActiveState",
    "SubState",
    "UnitFileState",
    "NeedDaemonReload",
    "MainPID",
    "ControlGroup",
    "NRestarts",
    "Result",
    "ExecMainCode",
    "ExecMainStatus",
    "ExecMainStartTimestamp",
)

UNITS = "/etc/systemd/system"
"""Where the unit files that provision writes lie."""

Unit: TypeAlias = "dict[str, str]"
"""Property -> value, as `systemctl show` prints them."""

ABSENT: Unit = {"LoadState": "not-found", "ActiveState": "inactive"}


def running() -> bool:
    """Whether systemd manages this machine (the test that sd_booted(3) names)."""
    return os.path.isdir("/run/systemd/system")


def units(machine: Machine) -> dict[str, Unit]:
    """Return the properties of all of provision's units: one call for the whole run."""

    def read() -> dict[str, Unit]:
        if not running():
            return {}
        names = [
            name
            for name in (os.listdir(UNITS) if os.path.isdir(UNITS) else [])
            if name.startswith("provision-") and name.endswith(".service")
        ]
        # The pattern adds what still runs although its file has gone.
        return _show(machine, [*names, "provision-*.service"])

    return machine.once("units", read)


def unit(machine: Machine, name: str) -> Unit:
    """Return the properties of one unit as they are known to this run."""
    return units(machine).get(name, ABSENT)


def fresh(machine: Machine, name: str) -> Unit:
    """Return the properties of one unit as they are now."""
    machine.forget("units")
    return _show(machine, [name]).get(name, ABSENT)


def main_pid(properties: Unit) -> int | None:
    """Return the pid of a unit's main process, or None."""
    pid = int(properties.get("MainPID") or 0)
    return pid or None


def journal(machine: Machine, name: str, lines: int, since: str | None = None) -> list[str]:
    """Return the last lines that a unit has printed; none when the journal cannot be read."""
    argv = ["journalctl", "--no-pager", "-q", "-o", "cat", "-u", name, "-n", str(lines)]
    argv += ["--since", since] if since else []
    try:
        return machine.run(argv, timeout=20, check=False).out.splitlines()
    except Failure:
        return []


def sync_journal(machine: Machine) -> None:
    """Let the journal write what it still holds: the last words of a process matter most."""
    try:
        machine.run(["journalctl", "--sync"], timeout=10, check=False)
    except Failure:
        pass


def _show(machine: Machine, names: Iterable[str]) -> dict[str, Unit]:
    argv = ["systemctl", "show", "--no-pager", "--property", ",".join(PROPERTIES), "--", *names]
    found: dict[str, Unit] = {}
    for block in machine.run(argv, timeout=60).out.split("\n\n"):
        properties = dict(line.partition("=")[::2] for line in block.splitlines() if "=" in line)
        if properties.get("Id"):
            found[properties["Id"]] = properties
    return found
