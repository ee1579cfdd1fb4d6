"""What compiling gives: the resources and services of one host."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from provision.wire.finding import Finding
from provision.wire.spec import Spec

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


@dataclass
class ServiceInfo:
    """What there is to say of a service without looking at the host.

    Args:
        host: the host that it runs on.
        name: as in the playbook.
        kind: which kind of service it is.
        playbook: the playbook that declares it.
        supervisor: `systemd` or `script`.
        unit: the systemd unit; None under the script supervisor.
        log: the log file; None where the journal has it.
        port: the port it listens on; None when that is not known.
        url: where a client reaches it, as far as the inventory tells; None without a port.
        model: the name under which requests ask for the model.
        stop: how to stop it by hand.
        resources: ids of the resources that are its alone.
        tags: the play's and its own.
        pid_file: where the script supervisor keeps the process id.
        container: the container that it is.
        engine: docker or podman; None for the one that the host has.
    """

    host: str
    name: str
    kind: str
    playbook: str
    supervisor: str
    unit: str | None
    log: str | None
    port: int | None
    url: str | None
    model: str | None
    stop: str
    resources: list[str] = field(default_factory=list)
    tags: frozenset[str] = frozenset()
    pid_file: str | None = None
    container: str | None = None
    engine: str | None = None


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
