"""What compiling gives: the resources and services of one host."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from provision.wire.finding import Finding
from provision.wire.requests import Service
from provision.wire.spec import Spec
from provision.wire.specs.probe import ProbeSpec

if TYPE_CHECKING:
    from provision.config.hosts import Host
    from provision.config.problems import Position


@dataclass
class Resource:
    """One thing that a host is to have, ready to be sent there.

    Args:
        host: the host that is to have it.
        id: unique on the host, `type:name` (`apt` alone).
        type: the host side's resource type.
        spec: the record of its type; a text that holds secrets is a `SecretText`.
        label: how a person calls it.
        needs: ids that must be right before this one.
        triggers: services to restart when this one changes.
        followers: commands to run when this one changes, by id; of packages, which of them count.
        playbooks: the playbooks that declare it, in their order.
        service: the service it belongs to alone; None for what is shared.
        position: where it was declared.
        tags: tags of the plays and services that declared it.
    """

    host: str
    id: str
    type: str
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
    def proves(self) -> bool:
        """Whether it proves that a service answers."""
        return isinstance(self.spec, ProbeSpec)


@dataclass
class ServiceInfo:
    """What there is to say of a service without looking at the host.

    Args:
        host: the host that it runs on.
        playbook: the playbook that declares it.
        facts: what the host is told of it to tell its state. Its `url` is where clients reach the service, as
            far as the inventory tells.
        stop: how to stop it by hand.
        resources: ids of the resources that are its alone.
        tags: the play's and its own.
    """

    host: str
    playbook: str
    facts: Service
    stop: str
    resources: list[str] = field(default_factory=list)
    tags: frozenset[str] = frozenset()

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
        notes: warnings worth a line in the plan.
    """

    host: Host
    resources: list[Resource]
    services: list[ServiceInfo]
    notes: list[Finding] = field(default_factory=list)

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
        return Catalog(self.host, kept, services, self.notes)
