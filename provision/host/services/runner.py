"""What the resource types that run a service have in common."""

from __future__ import annotations

import time
from typing import Callable, ClassVar, Mapping, Sequence

from provision.host.failure import Failure
from provision.host.machine import Machine
from provision.host.resource import SERVICES, Changes, Resource, State
from provision.host.services import access, addresses, processes, stopping, supervision
from provision.host.services.failures import endings
from provision.host.state import owed
from provision.wire import server
from provision.wire.events import SERVICE, Work
from provision.wire.finding import Finding

ENDING = 6.0
"""Seconds that a program may take to end with those of other nodes, which `rank` grants it."""

LOOK = 0.2
"""Seconds between two looks at a port that is taken."""

STARTS = {"active", "running", "current"}
"""The keys of its state whose change starts or restarts a service."""


class Runner(Resource):
    """A resource that runs a service; a change of what the service has read restarts it.

    A key of its state, `active` or `running`, tells whether it runs; `current` tells whether it has been
    restarted since something that it has read was changed.
    """

    due: ClassVar[Changes] = {"current": (False, True)}
    role = SERVICE
    removal = SERVICES

    def current(self, machine: Machine) -> bool:
        """Whether no restart is needed."""
        return self.owing(machine) is None

    def owing(self, machine: Machine) -> list[str] | None:
        """Return for which changes it has to be restarted; None when it has not."""
        return owed.restart(machine.state, self.spec.service).needed(lambda: self._life(machine))

    def begins(self, machine: Machine) -> None:
        """Note that it is about to be stopped and started: another life has read what there is now."""
        owed.restart(machine.state, self.spec.service).begun(lambda: self._life(machine))

    def up(self, actual: State) -> bool:
        """Whether it runs, rather than that it is to be started."""
        return bool(actual.get("active") or actual.get("running"))

    def missed(self, machine: Machine, changes: Changes) -> Failure | None:
        """Return how the service ended when it did so right after its start."""
        life = supervision.life(machine, self.spec)
        if not changes.keys() & {"active", "running"} or life.invocation is not None:
            return None
        return self._ended(machine, life)

    def waits_for_others(self) -> bool:
        """Whether it waits for its turn on a GPU."""
        return bool(self.spec.cards)

    def _life(self, machine: Machine) -> str | None:
        return supervision.life(machine, self.spec).invocation

    def _ended(self, machine: Machine, life: supervision.Life) -> Failure:
        return endings.ended(machine, self.spec, life, life.since)


class FileRunner(Runner):
    """Runs a service from files that provision has written: its script, its env file, its unit."""

    RENAMED: ClassVar[Mapping[str, str]] = {"host": "bind", "reach": "access"}

    ever: ClassVar[tuple[str, ...]]
    """The keys of its state that are all false when it has never been started."""

    def new(self, changes: Changes) -> bool:
        """Whether it has never been started."""
        return all(changes.get(key, (True, True))[0] is False for key in self.ever)

    def work(self, machine: Machine, changes: Changes) -> Work | None:
        """Say whether the service will be started or restarted."""
        if not changes.keys() & STARTS:
            return None
        service = self.spec.service
        return Work(restart=service) if self.running(machine) else Work(start=service)

    def notes(self, machine: Machine) -> list[Finding]:
        """Warn where a start could not succeed."""
        return [] if self.running(machine) else access.notes(machine, self.spec.service, self.spec.access)

    def opens(self, machine: Machine, changes: Changes) -> Sequence[tuple[int, str | None]]:
        """Return its ports, if it is started or restarted."""
        return self._places() if changes.keys() & STARTS else []

    def demands(self, changes: Changes) -> server.Demands | None:
        """Return what the service wants of the host, if it is started or restarted."""
        found: server.Demands | None = self.spec.demands if changes.keys() & STARTS else None
        return found

    def owns(self) -> Callable[[int], bool]:
        """Return what tells whether the process of a pid belongs to the service."""
        raise NotImplementedError

    def nodes(self) -> list[str]:
        """Return the hosts over which the service runs, by rank."""
        return list(self.spec.meeting.node.names) if self.spec.meeting is not None else []

    def preflight(self) -> server.Preflight | None:
        """Return how to ask whether the service would start as declared."""
        found: server.Preflight | None = self.spec.preflight
        return found

    def running(self, machine: Machine) -> bool:
        """Whether the service runs, as far as this run knows."""
        raise NotImplementedError

    def _require_start(self, machine: Machine) -> None:
        """Raise `Failure` for what would keep the service from starting: a server may notice it late."""
        self._require_free()
        access.require(machine, self.spec.service, self.spec.access)

    def _require_free(self) -> None:
        """Raise `Failure` when somebody else holds a port, or this host does not have the address."""
        absent = next((bind for _, bind in self._places() if addresses.absent(bind)), None)
        if absent:
            message = f"{self.spec.service} is to listen on {absent}, which this host does not have"
            raise Failure("address-absent", message, hint=addresses.HINT)
        taken = self._taken()
        until = time.monotonic() + ENDING
        # What another node of the service has just ended has its port a moment longer than its process.
        while taken and self.nodes() and time.monotonic() < until:
            time.sleep(LOOK)
            taken = self._taken()
        if taken:
            raise Failure("port-taken", taken, hint="stop it, or give the service another port")

    def _taken(self) -> str | None:
        """Return who else holds a port, as a sentence."""
        held = [(port, each) for port, bind in self._places() for each in processes.listeners(port, bind)]
        if not held:
            return None
        ours = self.owns()
        return next(
            (f"port {port} is held by {each}" for port, each in held if not ours(each.pid or 0)), None
        )

    def _places(self) -> list[tuple[int, str | None]]:
        """Return the ports where it listens, each with its address."""
        return [(self.spec.port, self.spec.bind)] if self.spec.port else []

    def _listens(self) -> bool:
        """Whether it has begun to serve, as far as its port tells."""
        return stopping.listens(self.spec.port, self.spec.bind, self.owns())
