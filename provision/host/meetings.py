"""Services that run over several hosts: their nodes wait for each other before each step that changes them.

The controller answers once all nodes have come as far, or says why they do not go on.
"""

from __future__ import annotations

from typing import Any, Mapping

from provision.host.failure import Failure
from provision.host.item import Item
from provision.host.machine import Machine
from provision.host.rotation import InService
from provision.host.services.nodes import reaching, same
from provision.wire import events
from provision.wire.finding import Finding
from provision.wire.nodes import Meeting
from provision.wire.survey import Answer


class Meetings:
    """Those of the services of this host.

    Args:
        machine: this one.
        host: its name in the inventory.
        items: all of the run, by id.
    """

    def __init__(self, machine: Machine, host: str, items: Mapping[str, Item]) -> None:
        self._machine = machine
        self._host = host
        self._items = items
        runners = {item.service or "": item.resource.spec for item in items.values() if item.runs}
        self._of: dict[str, Meeting] = {
            service: spec.meeting for service, spec in runners.items() if getattr(spec, "meeting", None)
        }

    def look(self) -> None:
        """Have services restarted here that start on another node.

        Raises:
            Failure: the service would start, and another node has failed.
        """
        for service, meeting in self._of.items():
            own = [item for item in self._items.values() if item.service == service and item.resource.role]
            starts = any(item.changes or item.error for item in own)
            answer = self._ask(service, meeting, "look", starts=starts)
            if not answer.go:
                raise Failure.of(answer.findings[0])
            if answer.starts and not starts:
                for item in own:
                    item.changes = dict(item.resource.due)

    def waits(self, item: Item) -> bool:
        """Whether a change of this waits for other nodes."""
        return bool(self._service(item))

    def compare(self, item: Item) -> None:
        """Before the first change of a service: hold its nodes against each other, and try the way to them.

        Raises:
            Failure: they do not fit together, do not reach each other, or another node has failed.
        """
        service = self._service(item)
        if not service:
            return
        refused = self._machine.once(("meeting", service), lambda: self._compared(service))
        if refused:
            raise (InService if item.runs else Failure).of(refused)

    def stop(self, item: Item) -> None:
        """Before a service is stopped or started: wait until this happens on all its nodes.

        Raises:
            InService: another node has failed.
        """
        service = self._service(item) if item.runs else None
        if service:
            answer = self._ask(service, self._of[service], "stop")
            if not answer.go:
                raise InService.of(answer.findings[0])

    def _service(self, item: Item) -> str | None:
        """Return the service over several hosts that a change of this stops or starts."""
        if item.runs:
            return item.service if item.service in self._of else None
        own = item.resource.restorable() is not None and item.service in self._of
        return item.service if own and item.service in item.triggers else None

    def _compared(self, service: str) -> Finding | None:
        meeting = self._of[service]
        with reaching.Doors(meeting) as doors:
            found = same.of(self._machine, meeting)
            answer = self._ask(
                service, meeting, "compare", same=found, address=doors.address, ports=doors.ports
            )
            if answer.go:
                troubles = reaching.tried(self._host, meeting, answer.peers)
                answer = self._ask(service, meeting, "reach", findings=troubles)
        return None if answer.go else answer.findings[0]

    def _ask(self, service: str, meeting: Meeting, step: str, **said: Any) -> Answer:
        question = events.Meet(service=service, nodes=meeting.node.names, step=step, **said)
        return self._machine.ask(question, endless=True)
