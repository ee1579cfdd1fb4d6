"""A resource of a request during a run: what was found, and how it went."""

from __future__ import annotations

from provision.host import causes
from provision.host.failure import Failure
from provision.host.machine import Machine
from provision.host.resource import Changes, Resource, State, differences
from provision.host.resources import make
from provision.wire.events import PROOF, SERVICE
from provision.wire.requests import Entry


class Item:
    """One resource of the request, and what has become of it."""

    def __init__(self, entry: Entry) -> None:
        self.id = entry.id
        self.type = entry.type
        self.label = entry.label
        self.service = entry.service
        self.playbooks = entry.playbooks
        self.needs = entry.needs
        self.triggers = entry.triggers
        self.followers = entry.followers
        self.resource: Resource = make(entry.id, entry.type, entry.spec)
        self.actual: State = {}
        self.changes: Changes = {}
        self.error: Failure | None = None
        self.status = ""
        self.began = 0.0
        """When its fix began, on the monotonic clock; 0: not at all."""

    @property
    def runs(self) -> bool:
        """Whether it runs a service, and so can owe a restart."""
        return self.resource.role == SERVICE

    @property
    def proves(self) -> bool:
        """Whether it proves that a service answers."""
        return self.resource.role == PROOF

    def read(self, machine: Machine) -> None:
        """Inspect it, and note what differs, or why that is not known."""
        try:
            expected = self.resource.expected(machine)
            self.actual = self.resource.actual(machine)
            self.changes = differences(expected, self.actual)
            self.error = None
        except Exception as error:
            self.error = causes.explain(error)
