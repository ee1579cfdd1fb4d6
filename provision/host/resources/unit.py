"""A systemd unit: enabled, running, and restarted since its files changed."""

from __future__ import annotations

import re
import time
from _thread import allocate_lock
from typing import Callable, Iterable

from provision.host.failure import Failure
from provision.host.machine import Machine
from provision.host.resource import Changes, State
from provision.host.services import processes, stopping, supervision, systemd
from provision.host.services.failures import patterns
from provision.host.services.gpus import turns
from provision.host.services.runner import STARTS, FileRunner
from provision.host.state import marks, owed
from provision.wire.events import Work
from provision.wire.specs.unit import UnitSpec

LOOK = 0.02
"""Seconds between two looks at a unit that stops, at first; they grow to `LOOK_AT_MOST`."""

LOOK_AT_MOST = 0.2

RELOAD = 90.0
"""Seconds that a reload may take until the service goes on with what it has read."""

START = 120.0
"""Seconds that `systemctl start` may take: it only starts the process, which then loads the model."""

_reloading = allocate_lock()


class Unit(FileRunner):
    """A unit whose file another resource writes."""

    type = "unit"
    Spec = UnitSpec
    spec: UnitSpec
    identity = ("unit", "service", "stop_timeout", "port", "bind", "follows")
    beside = ("loaded", "current")
    ever = ("enabled", "active")

    def expected(self, machine: Machine) -> State:
        """Return the declared state."""
        return {"enabled": self.spec.enabled, "active": True, "current": True, "loaded": True}

    def actual(self, machine: Machine) -> State:
        """Return the state found."""
        supervision.require_systemd(machine)
        properties = systemd.unit(machine, self.spec.unit)
        return {
            "enabled": properties.get("UnitFileState") == "enabled",
            "active": supervision.active(properties),
            "current": self.current(machine),
            "loaded": _loaded(properties),
        }

    def fix(self, machine: Machine, changes: Changes) -> None:
        """Fix what differs."""
        name = self.spec.unit
        try:
            properties = self._load(machine, "enabled" in changes)
            because = self.owing(machine) or []
            if "active" not in changes and self.reloads(because):
                self._reload(machine)
            elif "active" in changes or "current" in changes:
                self._start(machine, properties)
            else:
                systemd.fresh(machine, name)
        except Failure:
            machine.forget("units")
            raise

    def disturbs(self, changes: Changes) -> bool:
        """Whether it starts or restarts, which those notice that cannot run without it."""
        return not STARTS.isdisjoint(changes)

    def reloads(self, because: Iterable[str]) -> bool:
        """Whether it reads all these again when it is told to reload."""
        return bool(because) and set(self.spec.reloads).issuperset(because)

    def work(self, machine: Machine, changes: Changes) -> Work | None:
        """Say whether the service will be started, restarted or reloaded."""
        work = super().work(machine, changes)
        if work is None or work.restart is None or not self.reloads(self.because):
            return work
        return Work(reload=work.restart)

    def remove(self, machine: Machine) -> bool:
        """Stop and disable the unit; its file is another resource."""
        if not systemd.running():
            return False
        name = self.spec.unit
        properties = systemd.fresh(machine, name)
        there = _loaded(properties) or properties.get("ActiveState") != "inactive"
        if there:
            self._stop(machine, properties)
            machine.run(["systemctl", "disable", name], timeout=60, check=False)
            machine.run(["systemctl", "reset-failed", name], timeout=60, check=False)
        machine.forget("units")
        return there

    def end(self, machine: Machine) -> None:
        """Let its main process end within the time of a stop; systemd then starts the next one."""
        name = self.spec.unit
        pid = systemd.main_pid(systemd.fresh(machine, name))
        life = processes.invocation(pid) if pid else None
        if life is None:
            return
        self._send(machine, ["kill", "--kill-who=main", "-s", "TERM", name], False)
        begun = time.monotonic()
        while processes.alive(life) is not None and time.monotonic() < begun + self.spec.stop_timeout:
            machine.sleep(LOOK_AT_MOST)

    # -- steps --------------------------------------------------------------------------------------------

    def _load(self, machine: Machine, enable: bool) -> systemd.Unit:
        """Have systemd load the unit as its file is now, enabled as declared.

        A reload is enough for all units: after it none needs another.
        """
        name = self.spec.unit
        refused: Failure | None = None
        with _reloading:
            if enable:
                try:
                    verb = "enable" if self.spec.enabled else "disable"
                    machine.run(["systemctl", verb, name], timeout=120)  # and load all units anew
                except Failure as failure:
                    refused = failure
            properties = systemd.fresh(machine, name)
            if not _loaded(properties):
                machine.run(["systemctl", "daemon-reload"], timeout=120)
                properties = systemd.fresh(machine, name)
        state = properties.get("LoadState")
        if state == "masked":
            raise Failure(
                "unit-refused", f"{name} is masked", hint=f"run `systemctl unmask {name}` on the host"
            )
        if state != "loaded":
            why = properties.get("LoadError", "").strip()
            raise Failure("unit-refused", f"systemd cannot load {name}: {why or state}")
        if refused:
            raise refused
        return properties

    def _start(self, machine: Machine, properties: systemd.Unit) -> None:
        self._require_start(machine)
        try:
            if properties.get("ActiveState") != "inactive":
                with turns.kept(machine, self.id, self.spec.service, self.spec.cards or []):
                    self._stop(machine, properties)
            self._begin(machine)
        except Failure:
            if machine.cancelled.is_set() and supervision.active(properties):
                # A service that ran must not stay down because nobody waits for its restart any more.
                systemd.start(self.spec.unit)
            raise
        now = supervision.life(machine, self.spec)
        if now.invocation is None:
            raise self._ended(machine, now)
        owed.restart(machine.state, self.spec.service).started(now.invocation)

    def _reload(self, machine: Machine) -> None:
        """Have it read its files again. When it refuses them, it goes on with the former ones."""
        name, service = self.spec.unit, self.spec.service
        # HAProxy would pause the ports that it has while it tries to get a new one.
        self._require_free()
        marks.doubt(machine.state, service)
        try:
            machine.run(["systemctl", "reload", name], timeout=RELOAD)
        except Failure:
            log = systemd.journal(machine, name, supervision.TAIL)
            known = patterns.explain(log, service)
            raise Failure(
                "reload-refused",
                f"{service} does not take in what has changed, and goes on with what it had",
                hint=known.hint if known else None,
                log=log,
            ) from None
        now = supervision.life(machine, self.spec)
        if now.invocation is None:
            raise self._ended(machine, now)
        owed.restart(machine.state, service).started(now.invocation)

    def _begin(self, machine: Machine) -> None:
        try:
            self._send_start(machine)
        except Failure as failure:
            raise self._not_started(machine, failure) from None

    def _send_start(self, machine: Machine) -> None:
        supervision.before_start(machine, self.spec.unit)
        start = ["systemctl", "start", self.spec.unit]
        try:
            machine.run(start, timeout=START)
        except Failure:
            # After too many starts or failures in a row, systemd starts a unit again only after a reset.
            if systemd.fresh(machine, self.spec.unit).get("Result") != "start-limit-hit":
                raise
            self._send(machine, ["reset-failed", self.spec.unit], False)
            machine.run(start, timeout=START)

    def _stop(self, machine: Machine, properties: systemd.Unit) -> None:
        """Stop the unit within its time.

        systemd sends one SIGTERM, and none when it is stopping the unit already; `stopping` decides when
        another is sent. What does not end in time is killed with all its workers.
        """
        name = self.spec.unit
        pid = systemd.main_pid(properties)
        life = processes.invocation(pid) if pid else None
        terms = stopping.Terms(machine, self.spec.service, life, self._listens)
        terms.send(self._send, machine, ["stop", "--no-block", name])
        begun = time.monotonic()
        limit = self.spec.stop_timeout
        told = begun
        pause = LOOK
        while True:
            # While its main process lives, systemd need not be asked.
            if life is None or processes.alive(life) is None:
                state = systemd.fresh(machine, name).get("ActiveState")
                if state in ("inactive", "failed"):
                    return
            now = time.monotonic()
            if now > begun + limit + 30:
                state = systemd.fresh(machine, name).get("ActiveState")
                raise Failure(
                    "does-not-stop", f"{name} does not stop (it is {state})", hint="look at it on the host"
                )
            if now > begun + limit:
                machine.run(["systemctl", "kill", "-s", "KILL", name], timeout=60, check=False)
            elif terms.due():
                terms.send(self._send, machine, ["kill", "--kill-who=main", "-s", "TERM", name], False)
            if now > told + 2:
                told = now
                machine.progress(self.id, now - begun, limit, "seconds", "stopping")
            machine.sleep(pause)
            pause = min(1.5 * pause, LOOK_AT_MOST)

    def _send(self, machine: Machine, words: list[str], check: bool = True) -> None:
        machine.run(["systemctl", *words], timeout=60, check=check)

    def running(self, machine: Machine) -> bool:
        """Whether the service runs, as far as this run knows."""
        return supervision.active(systemd.unit(machine, self.spec.unit))

    def _places(self) -> list[tuple[int, str | None]]:
        return [*super()._places(), *((each.port, each.bind) for each in self.spec.beside)]

    def owns(self) -> Callable[[int], bool]:
        """Return what tells whether the process of a pid belongs to the service."""
        return lambda pid: self.spec.unit in re.split("[/\n]", processes.cgroup(pid))

    def _not_started(self, machine: Machine, failure: Failure) -> Failure:
        """Return why `systemctl start` failed: the program has ended, or was not even reached."""
        life = supervision.life(machine, self.spec)
        if life.ended:
            return self._ended(machine, life)
        why = failure.log[0] if failure.log else failure.message
        message = f"{self.spec.service} could not be started: {why}"
        log = systemd.journal(machine, self.spec.unit, supervision.TAIL)
        known = patterns.explain(log, self.spec.service)
        if known is None:
            return Failure("service-ended", message, log=log)
        return Failure(known.code, message, hint=known.hint, log=log)


def _loaded(properties: systemd.Unit) -> bool:
    return properties.get("LoadState") == "loaded" and properties.get("NeedDaemonReload") == "no"
