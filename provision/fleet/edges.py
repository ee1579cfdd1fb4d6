"""The order between hosts: what has to come after something on another host."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Literal

from provision.dataclass import dataclass
from provision.wire.specs.container import ContainerSpec

if TYPE_CHECKING:
    from provision.catalog.catalog import Catalog
    from provision.config.hosts import Host

Kind = Literal["reach", "proof"]
"""Why the later end of an edge waits for the earlier one.

`reach`: the later host is a container on the earlier host and is reached through it. When the earlier end is
a resource, that resource creates the container.
`proof`: the later end is a probe that asks what runs on the earlier host, in a container or behind a gateway.
"""


@dataclass(frozen=True)
class Node:
    """One end of an edge: a resource of a host, by its id; without an id all resources of the host."""

    host: str
    resource: str | None = None


@dataclass(frozen=True)
class Edge:
    """An order between hosts, or between a resource of one host and another host: `before` comes first."""

    before: Node
    after: Node
    kind: Kind


def edges_between(catalogs: Mapping[str, Catalog]) -> Iterator[Edge]:
    """Return the edges between hosts: those of containers that are hosts themselves, and those of gateways.

    A container is created before anything in it. Its probe asks, through its ports, the services in it, so
    it comes after them; and so does the probe of a gateway, which asks the services behind it.
    """
    yield from _of_containers(catalogs)
    for name, catalog in catalogs.items():
        for service in catalog.services:
            for other in service.asks:
                if other in catalogs and other != name:
                    yield Edge(Node(other), Node(name, f"probe:{service.name}"), "proof")


def _of_containers(catalogs: Mapping[str, Catalog]) -> Iterator[Edge]:
    for catalog in catalogs.values():
        inside = catalog.host
        if inside.connection != "container":
            continue
        for outer in _engine_hosts(inside, catalogs.values()):
            ends = _container_and_probe(inside, outer)
            if ends is None and inside.on is None:
                continue
            container, probe = ends or (None, None)
            yield Edge(Node(outer.host.name, container), Node(inside.name), "reach")
            if probe is not None:
                yield Edge(Node(inside.name), Node(outer.host.name, probe), "proof")
            break


def _engine_hosts(inside: Host, catalogs: Iterable[Catalog]) -> Iterator[Catalog]:
    """Return the hosts whose engine may run a container: the one that `on` names, otherwise this machine."""
    for outer in catalogs:
        if outer.host.connection == "local" if inside.on is None else outer.host.name == inside.on:
            yield outer


def _container_and_probe(inside: Host, outer: Catalog) -> tuple[str, str | None] | None:
    """Return the ids of the resource that creates a container, and of its probe; None if there is none."""
    name = inside.container or inside.name
    for each in outer.resources:
        if isinstance(each.spec, ContainerSpec) and each.spec.container == name:
            probe = f"probe:{each.spec.service}"
            return each.id, probe if any(other.id == probe for other in outer.resources) else None
    return None
