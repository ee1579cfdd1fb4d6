"""How a service's main process is doing, whether systemd, a start script or a container engine started it."""

from __future__ import annotations

import os
import time
from typing import NamedTuple

from provision.host.capture import KILL
from provision.host.failure import Failure
from provision.host.machine import Machine
from provision.host.services import processes, systemd
from provision.host.services.containers import engines
from provision.host.services.failures import exits
from provision.host.state import durable, owed
from provision.wire.spec import Supervised

STARTED = "-- started by provision "
"""The beginning of the line that each start writes into the log of a script-supervised service."""

TAIL = 25
"""Lines of a service's log that explain a failure."""

READ = 256 * 1024
"""Bytes read from the end of a log to find its last lines."""


class Life(NamedTuple):
    """What is known of a service's main process at one moment."""

    state: str
    """systemd's words (`failed`, `activating (auto-restart)`), or `running`, `stopped`, `unknown`."""
    pid: int | None
    invocation: str | None
    restarts: int = 0
    """How often it was brought back since it was last started on purpose."""
    ended: str | None = None
    """How it ended: `exit 2`, `signal KILL`, `out of memory`; None when that is not known or it runs."""
    since: str | None = None
    """What distinguishes the log lines of this start: systemd's id of it, or the time before it."""


def life(machine: Machine, spec: Supervised, shared: bool = False) -> Life:
    """Return how a service is doing; with `shared`, as it was when this run last read it."""
    if spec.container:
        return _of_container(machine, spec, spec.container, shared)
    if spec.unit:
        return of_unit(machine, spec.unit, shared)
    if not spec.pid_file:
        return Life("unknown", None, None)
    pid = recorded(spec.pid_file)
    if pid is None:
        return Life("stopped", None, None, 0, exits.of_child(spec.pid_file))
    return Life("running", pid, processes.invocation(pid))


def _of_container(machine: Machine, spec: Supervised, name: str, shared: bool) -> Life:
    """Return how a container is doing; what brings it back is its unit, or else the engine."""
    engine = engines.find(spec.engine)
    unit = of_unit(machine, spec.unit, shared) if spec.unit else None
    if engine is None:
        return Life("stopped", None, None)
    if not shared:
        engines.forget(machine, engine, name)
    try:
        found = engines.container(machine, engine, name)
    except Failure:
        return Life("unknown", None, None)
    running = engines.invocation(found)
    if found is not None and running is not None:
        restarts = unit.restarts if unit else int(found.get("RestartCount") or 0)
        pid = found["State"].get("Pid") or None
        since = unit.since if unit else _begun(machine, spec)
        return Life("running", pid, running, restarts, None, since)
    ended = engines.ended(found) if found else None
    if unit:
        if unit.invocation:
            # The engine's client is about to start it: how the container ended before is no news.
            return unit._replace(pid=None, invocation=None)
        # Its unit knows the code of the engine's client, which is not always the program's own.
        refused = unit.ended == engines.REFUSED
        return unit._replace(pid=None, invocation=None, ended=unit.ended if refused else ended or unit.ended)
    if found is None:
        return Life("stopped", None, None)
    state = "stopped" if ended in (None, "exit 0") else "failed"
    if found["State"].get("Restarting"):
        state = "restarting"
    return Life(state, None, None, 0, ended, _begun(machine, spec))


def _begun(machine: Machine, spec: Supervised) -> str | None:
    """Return the time before a container was started, while its start is not settled yet."""
    note = owed.restart(machine.state, spec.service).read()
    return note.get("since") if note else None


def active(properties: systemd.Unit) -> bool:
    """Whether systemd counts a unit as up; one that starts, or waits to be started again, is not."""
    return properties.get("ActiveState") in ("active", "reloading")


def of_unit(machine: Machine, name: str, shared: bool = False) -> Life:
    """Return how a unit is doing; with `shared`, as it was when this run last read it."""
    properties = systemd.unit(machine, name) if shared else systemd.fresh(machine, name)
    state = properties.get("ActiveState", "inactive")
    sub = properties.get("SubState", "")
    if state in ("activating", "deactivating"):
        state = f"{state} ({sub})"
    pid = systemd.main_pid(properties)
    life = processes.invocation(pid) if pid else None
    ended = None if life else _end(properties)
    if ended and ended == exits.how(-KILL) and exits.oom_kills() > before_start(machine, name):
        ended = exits.OUT_OF_MEMORY  # systemd cannot tell where the limit is not its own, as in a container
    return Life(
        state,
        pid if life else None,
        life,
        int(properties.get("NRestarts") or 0),
        ended,
        properties.get("InvocationID") or None,
    )


def before_start(machine: Machine, name: str) -> int:
    """Return `exits.oom_kills()` at the first call for a unit, which is before this run starts it."""
    return machine.once(("oom kills", name), exits.oom_kills)


def _end(properties: systemd.Unit) -> str | None:
    if properties.get("Result") == "oom-kill":
        return exits.OUT_OF_MEMORY
    code, status = properties.get("ExecMainCode"), int(properties.get("ExecMainStatus") or 0)
    if code == "1":
        return exits.how(status)
    return exits.how(-status) if code in ("2", "3") else None


# -- pid files --------------------------------------------------------------------------------------------


def record(path: str, pid: int) -> str | None:
    """Write a pid file: the pid for people, and below it the invocation of the process; return the latter."""
    life = processes.invocation(pid)
    if life:
        durable.write(path, f"{pid}\n{life}\n")
    return life


def recorded(path: str) -> int | None:
    """Return the pid that a pid file names, or None when that process has ended."""
    lines = (durable.read(path) or "").split()
    return processes.alive(lines[1]) if len(lines) == 2 else None


# -- logs -------------------------------------------------------------------------------------------------


def tail(machine: Machine, spec: Supervised, lines: int = TAIL, since: str | None = None) -> list[str]:
    """Return the last lines that a service has printed, at most `lines` of them.

    `since` is that of the life whose lines are wanted; a log file always gives those of the last start.
    """
    if spec.unit:
        return systemd.journal(machine, spec.unit, lines, since)
    if spec.container:
        engine = engines.find(spec.engine)
        return engines.log(machine, engine, spec.container, lines, since) if engine else []
    kept = last_lines(spec.log or "", lines)
    for index in range(len(kept) - 1, -1, -1):
        if kept[index].startswith(STARTED):
            return kept[index + 1 :]
    return kept


def settle(machine: Machine, spec: Supervised) -> None:
    """Wait until what a service has printed last can be read."""
    if spec.unit:
        systemd.sync_journal(machine)


def last_lines(path: str, lines: int) -> list[str]:
    """Return the last lines of a file, none when it cannot be read."""
    try:
        with open(path, "rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - READ))
            data = file.read()
    except OSError:
        return []
    return data.decode("utf-8", "replace").splitlines()[-lines:] if lines > 0 else []


def heading() -> str:
    """Return the line that separates one life of a service from the next in its log."""
    return STARTED + time.strftime("%Y-%m-%d %H:%M:%S %z")


def require_systemd(machine: Machine) -> None:
    """Raise `Failure` with the way out when no system unit can be managed here."""
    if not systemd.running():
        raise Failure(
            "no-systemd",
            "systemd does not run here, so nothing can supervise a unit",
            hint="set `supervisor: script` on the service, or on the host for all its services",
            final=True,
        )
    if not machine.root:
        raise Failure(
            "needs-root",
            "system units can only be managed by root",
            hint="set `become: true` on the host, or `supervisor: script` on the service",
            final=True,
        )
