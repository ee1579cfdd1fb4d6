"""The result of compiling: the resources and services of one host."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import field
from typing import TYPE_CHECKING, Any

from provision.config.pace import Pace
from provision.dataclass import dataclass
from provision.wire.finding import Finding
from provision.wire.requests import Service
from provision.wire.spec import Spec
from provision.wire.specs.probe import ProbeSpec

if TYPE_CHECKING:
    from provision.config.hosts import Host
    from provision.config.problems import Position
    from provision.wire.requests import Stake


@dataclass
class Resource:
    """One thing that a host is to have, ready to be sent there.

    Args:
        id: unique on the host, `type:name` (`apt` alone).
        spec: the record of its type; a text that holds secrets is a `SecretText`.
        label: what people call it.
        needs: ids of the resources that must be right before this one.
        triggers: services to restart when this one changes.
        playbooks: the playbooks that declare it, in their order.
        service: the only service that it belongs to; None for what is shared.
        position: where it was declared.
        tags: tags of the plays and services that declared it.
        followers: commands to run when this one changes, by id, with the packages that count (none: all do).
    """

    id: str
    spec: Spec
    label: str
    needs: list[str] = field(default_factory=list)
    triggers: list[str] = field(default_factory=list)
    playbooks: list[str] = field(default_factory=list)
    service: str | None = None
    position: Position | None = None
    tags: frozenset[str] = frozenset()
    followers: dict[str, list[str]] = field(default_factory=dict)

    @property
    def type(self) -> str:
        """The resource type of the host side."""
        return self.id.partition(":")[0]

    @property
    def proves(self) -> bool:
        """Whether it proves that a service answers."""
        return isinstance(self.spec, ProbeSpec)


@dataclass(frozen=True)
class Declared:
    """What a playbook says of a service that decides whether it can run. Plain data, as it is remembered.

    Args:
        fields: those that are set.
        places: where they are, as `file:line:column`, by field; that of the service itself is at "".
        models: by the names of its models, their paths on the host.
        release: the version of its engine, if it is pinned.
    """

    fields: dict[str, Any]
    places: dict[str, str]
    models: dict[str, str]
    release: str | None = None

    def at(self, names: Iterable[str]) -> str:
        """Return the place of the first of some fields that is set, else that of the service."""
        return self.places[next((name for name in names if name in self.places), "")]


@dataclass
class ServiceInfo:
    """What is known of a service without asking the host.

    Args:
        host: the host that it runs on.
        playbook: the playbook that declares it.
        facts: what the host needs to report its state. Its `url` is where clients reach the service, as far
            as the inventory tells.
        stop: the command that stops it by hand.
        resources: ids of the resources that belong to it alone.
        tags: those of the play and its own.
        stake: what decides on the host whether it runs; None when nothing there can be foreseen.
        drain: the longest time that a stop waits for running requests, in seconds.
        declared: what decides whether it can run.
        asks: the hosts whose services answer when it is asked.
        group: the hosts over which it runs, the head first; none for a service on one host.
        joins: whether each of them joins by itself.
    """

    host: str
    playbook: str
    facts: Service
    stop: str
    resources: list[str] = field(default_factory=list)
    tags: frozenset[str] = frozenset()
    stake: Stake | None = None
    drain: float = 0.0
    declared: Declared | None = None
    asks: tuple[str, ...] = ()
    group: tuple[str, ...] = ()
    joins: bool = False

    @property
    def name(self) -> str:
        """The name of the service, as in the playbook."""
        return self.facts.service


@dataclass
class Catalog:
    """All that one host is to have.

    Args:
        host: from the inventory.
        resources: in an order in which each comes after what it needs.
        services: in the order of the playbooks.
        notes: warnings and information for the plan.
        paces: of each play with services that is for this host, by its place: the order of its hosts.
    """

    host: Host
    resources: list[Resource]
    services: list[ServiceInfo]
    notes: list[Finding] = field(default_factory=list)
    paces: dict[str, Pace] = field(default_factory=dict)

    def tagged(self, tags: frozenset[str]) -> Catalog:
        """Return the part that carries one of `tags`, with everything it needs."""
        by_id = {resource.id: resource for resource in self.resources}
        wanted: set[str] = set()
        queue = [resource.id for resource in self.resources if resource.tags & tags]
        while queue:
            id = queue.pop()
            if id not in wanted:
                wanted.add(id)
                queue += by_id[id].needs
        services = [service for service in self.services if service.tags & tags]
        names = {service.name for service in services}
        kept = [
            Resource(**{**vars(resource), "triggers": [name for name in resource.triggers if name in names]})
            for resource in self.resources
            if resource.id in wanted
        ]
        return Catalog(self.host, kept, services, self.notes, self.paces)
