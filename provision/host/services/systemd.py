"""What systemd says about units, and what their journal holds."""

from __future__ import annotations

import os
import re
from socket import timeout
from typing import Dict, Iterable, Sequence

from provision.host.capture import capture
from provision.host.failure import Failure
from provision.host.machine import Machine
from provision.host.services import bus
from provision.host.services.failures import exits
from provision.wire import events, plainjson
from provision.wire.finding import warning

PROPERTIES = (
    "Id,LoadState,LoadError,ActiveState,SubState,UnitFileState,NeedDaemonReload,MainPID,NRestarts,Result,"
    "ExecMainCode,ExecMainStatus,InvocationID"
)

SYSTEMD = "1"
"""The pid of systemd itself."""

ABOUT = 20
"""Lines that systemd may add to those that one start of a unit prints."""

READ = 400
"""Lines of one start in which systemd's own are looked for."""

UNITS = "/etc/systemd/system"
"""Where the unit files that provision writes lie."""

OURS = "provision-*.service"
"""Pattern of the names of provision's units."""

Unit = Dict[str, str]
"""Property -> value, as `systemctl show` prints them."""

ABSENT: Unit = {"LoadState": "not-found", "ActiveState": "inactive"}


def running() -> bool:
    """Whether systemd manages this machine (the test that sd_booted(3) names)."""
    return os.path.isdir("/run/systemd/system")


def units(machine: Machine) -> dict[str, Unit]:
    """Return the properties of all of provision's units: as a rule, one call for the whole run."""

    def read() -> dict[str, Unit]:
        if not running():
            return {}
        # Also what still runs although its file has gone; but not what is inactive.
        found = _properties(machine, OURS)
        inactive = [
            name
            for name in (os.listdir(UNITS) if os.path.isdir(UNITS) else [])
            if name.startswith("provision-") and name.endswith(".service") and name not in found
        ]
        return {**found, **_show(machine, inactive)} if inactive else found

    found = machine.attempt("units", read)
    if isinstance(found, Failure):
        raise found
    return found


def unit(machine: Machine, name: str) -> Unit:
    """Return the properties of one unit as they are known to this run."""
    return units(machine).get(name, ABSENT)


def fresh(machine: Machine, name: str) -> Unit:
    """Return the properties of one unit as they are now, and let the whole run know them."""
    found = _properties(machine, name).get(name, ABSENT)
    machine.correct("units", name, found)
    return found


def start(name: str) -> None:
    """Have systemd start a unit, after what it does with it now; also in a run that was cancelled."""
    try:
        capture(["systemctl", "start", "--no-block", name], os.environ, 10, lambda pid: None)
    except OSError:
        pass


def main_pid(properties: Unit) -> int | None:
    """Return the pid of a unit's main process, or None."""
    pid = int(properties.get("MainPID") or 0)
    return pid or None


def journal(machine: Machine, name: str, lines: int, invocation: str | None = None) -> list[str]:
    """Return the last lines that a unit has printed, at most `lines`; none when the journal cannot be read.

    With `invocation`, systemd's id of one start, only what that start printed, without systemd's own lines.
    """
    if invocation:
        said = [text for pid, text in _entries(machine, invocation, lines + ABOUT) if pid != SYSTEMD]
        return (said or _beside(machine, name, invocation, lines + ABOUT))[-lines:]
    return _journal(machine, ["-o", "cat", "-u", name, "-n", str(lines)])


def ending(machine: Machine, invocation: str) -> str | None:
    """Return how the main process of an earlier start ended; None when systemd has not noted it."""
    said = [text for pid, text in _entries(machine, invocation, READ) if pid == SYSTEMD]
    if any("Failed with result 'oom-kill'" in text for text in said):
        return exits.OUT_OF_MEMORY
    for text in said:
        found = re.search(r"Main process exited, code=(\w+), status=(\d+)", text)
        if found:
            status = int(found.group(2))
            return exits.how(status if found.group(1) == "exited" else -status)
    # A clean end is not worth a line to systemd; but it brings nothing back that was stopped on purpose.
    return exits.how(0) if any("Scheduled restart job" in text for text in said) else None


def _entries(machine: Machine, invocation: str, lines: int) -> list[tuple[str, str]]:
    """Return pid and text of what was printed in one start of a unit, or by systemd about it."""
    matches = [f"_SYSTEMD_INVOCATION_ID={invocation}", "+", f"INVOCATION_ID={invocation}"]
    return [(pid, text) for pid, _, text in _read(machine, ["-n", str(lines), *matches])]


def _beside(machine: Machine, name: str, invocation: str, lines: int) -> list[str]:
    """Return what was printed between systemd's own lines about one start of a unit.

    The journal finds out which start a line belongs to when it reads the line. A process that has ended by
    then has no id of a start, or that of the next start.
    """
    found: list[str] = []
    ours = False
    for pid, about, text in _read(machine, ["-n", str(lines), "-u", name]):
        if pid != SYSTEMD:
            found.append(text)
        elif about == invocation:
            ours = True
        elif ours:
            break
        else:
            found = []
    return found if ours else []


def _read(machine: Machine, argv: Sequence[str]) -> list[tuple[str, str, str]]:
    """Return pid, the start that systemd tells about, and the text of lines of the journal."""
    fields = "--output-fields=_PID,INVOCATION_ID,MESSAGE"
    entries: list[tuple[str, str, str]] = []
    for line in _journal(machine, ["-o", "json", "--all", fields, *argv]):
        entry = plainjson.loads(line)
        text = entry.get("MESSAGE") or ""
        if isinstance(text, list):  # bytes that are no text, or a field that is there twice
            whole = all(isinstance(each, int) for each in text)
            text = bytes(text).decode("utf-8", "replace") if whole else str(text[0])
        pid, about = str(entry.get("_PID")), str(entry.get("INVOCATION_ID"))
        entries += [(pid, about, each) for each in text.splitlines() or [""]]
    return entries


def _journal(machine: Machine, argv: Sequence[str]) -> list[str]:
    try:
        done = machine.run(["journalctl", "--no-pager", "-q", *argv], timeout=20, check=False)
    except Failure:
        return []
    return done.out.splitlines()


def sync_journal(machine: Machine) -> None:
    """Have the journal write what it still holds: the last lines of a process matter most."""
    try:
        machine.run(["journalctl", "--sync"], timeout=10, check=False)
    except Failure:
        said = "systemd-journald does not answer, so the last lines of services may be missing"
        hint = "`systemctl restart systemd-journald` on the host"
        machine.emit(events.Note(finding=warning("journal-unreadable", said, hint)))


def _properties(machine: Machine, pattern: str) -> dict[str, Unit]:
    """Return the properties of the units that a pattern matches.

    `systemctl` is asked only where it tells more: of units that systemd has to load first, or could not.
    """
    try:
        found = bus.units(pattern)
    except timeout:
        # `systemctl` would wait for it, too, and much longer.
        raise Failure(
            "systemd-silent",
            f"systemd does not answer: process 1 has said nothing for {bus.PATIENCE:.0f} s",
            hint="see `ps 1` on the host; if nothing else wakes it, reboot",
            final=True,
        ) from None
    except (OSError, ValueError):
        found = {}
    if found and all(unit["LoadState"] == "loaded" for unit in found.values()):
        return found
    return _show(machine, [pattern])


def _show(machine: Machine, names: Iterable[str]) -> dict[str, Unit]:
    argv = ["systemctl", "show", "--no-pager", "--property", PROPERTIES, "--", *names]
    found: dict[str, Unit] = {}
    for block in machine.run(argv, timeout=60).out.split("\n\n"):
        properties = dict(line.partition("=")[::2] for line in block.splitlines() if "=" in line)
        if properties.get("Id"):
            found[properties["Id"]] = properties
    return found
