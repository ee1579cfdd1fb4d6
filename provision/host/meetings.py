"""Services that run over several hosts: their nodes wait for each other before each step that changes them.

The controller answers once all nodes have come as far, or says why they do not go on.
"""

from __future__ import annotations

import time
from typing import Any

from provision.host import foreseeing
from provision.host.failure import Failure
from provision.host.item import Item
from provision.host.machine import Machine
from provision.host.rotation import Gateways, InService
from provision.host.services.nodes import reaching, same, together
from provision.wire import events, survey
from provision.wire.finding import Finding
from provision.wire.nodes import Meeting


class Meetings:
    """Those of the services of this host.

    Args:
        machine: this one.
        host: its name in the inventory.
        items: all of the run, by id.
    """

    def __init__(self, machine: Machine, host: str, items: dict[str, Item]) -> None:
        self._machine = machine
        self._host = host
        self._items = items
        runners = {item.service or "": item.resource.spec for item in items.values() if item.runs}
        self._of: dict[str, Meeting] = {
            service: spec.meeting for service, spec in runners.items() if getattr(spec, "meeting", None)
        }
        self.led: dict[str, list[str]] = {}
        """By service, the other nodes for which alone it is restarted here."""
        self._stopped: set[str] = set()
        self._told: set[str] = set()
        """The services of which the other nodes know, or will hear, that they have failed here."""

    def look(self) -> None:
        """Have services restarted here that start on another node.

        Raises:
            Failure: the service would start, and another node has failed.
        """
        for service, meeting in sorted(self._of.items()):  # else two nodes might wait for each other
            own = [item for item in self._items.values() if item.service == service and item.resource.role]
            starts = any(item.runs and (item.changes or item.error) for item in own)
            if meeting.node.joins:
                self._ask(service, meeting, "look", starts=starts, same=same.of(self._machine, meeting))
                continue
            answer = self._ask(service, meeting, "look", starts=starts)
            if not answer.go:
                raise Failure.of(answer.findings[0])
            if answer.starts and not starts:
                self.led[service] = answer.starts
                for item in own:
                    item.changes = dict(item.resource.due)
                if foreseeing.runs(self._items, service):
                    names = meeting.node.names
                    self._machine.emit(events.Restart(service=service, nodes=names, led_by=answer.starts))

    def leads(self, item: Item) -> bool:
        """Whether this runs a service that is restarted for other nodes, although nothing differs here."""
        return item.runs and item.service in self.led

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
        if service and service not in self._stopped and not self._of[service].node.joins:
            answer = self._ask(service, self._of[service], "stop")
            if not answer.go:
                raise InService.of(answer.findings[0])
            self._stopped.add(service)

    def prove(self, item: Item) -> None:
        """Before a service is proven: its proof tells the other nodes itself when it fails."""
        if item.proves and item.service:
            self._told.add(item.service)

    def back(self, item: Item, gateways: Gateways) -> None:
        """After a service was proven: let gateways pass requests to it again, or it has failed on all nodes.

        Raises:
            InService: a gateway does not do so.
        """
        if not item.proves or not item.service:
            return
        node = self._of[item.service].node if item.service in self._of else None
        gateways.back_on_all(item.service, node.names if node is not None and not node.joins else [])

    def gave_up(self, item: Item, failure: Failure | None) -> None:
        """After something of a service has failed, or was skipped: let no other node wait for it."""
        service = item.service
        if service not in self._of or service in self._told or failure is None:
            return
        if not (item.runs and service in self._stopped):  # else they hear it by `failed`
            self._told.add(service)
            names = self._of[service].node.names
            together.gave_up(self._machine, service, names, failure.finding)

    def failed(self, item: Item, failure: Failure) -> None:
        """After what runs a service has failed: let the other nodes, stopped with it, go back, too."""
        if item.runs and item.service in self._stopped:
            self._told.add(item.service)
            names = self._of[item.service].node.names
            together.failed(self._machine, item.service, names, failure.finding)

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
                service,
                meeting,
                "compare",
                same=found,
                address=doors.address,
                ports=doors.ports,
                now=round(time.time(), 3),
            )
            if answer.go:
                # A firewall lets in a node that joins only once it has been changed itself.
                behind = meeting.node.joins and meeting.closed is not None
                troubles = [] if behind else reaching.tried(self._host, meeting, answer.peers)
                troubles += reaching.shut_out(self._machine, self._host, meeting, answer.peers)
                answer = self._ask(service, meeting, "reach", findings=troubles)
        return None if answer.go else answer.findings[0]

    def _ask(self, service: str, meeting: Meeting, step: str, **said: Any) -> survey.Answer:
        names, joins = meeting.node.names, meeting.node.joins
        return together.ask(self._machine, service, names, step, joins=joins, **said)
