"""What all hosts of a project are to have, as one graph."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

from provision.config.problems import did_you_mean, failure, quoted
from provision.fleet.edges import Edge, Node, edges_between

if TYPE_CHECKING:
    from provision.catalog.catalog import Catalog, Resource, ServiceInfo
    from provision.fleet.gateways import Gateway


class Fleet(NamedTuple):
    """The hosts, their resources and services, and the order between hosts.

    Args:
        catalogs: what each host is to have, by the host's name, in the order of the playbooks.
        edges: the order between hosts. Within one host, the `needs` of its resources say the order.
        gateways: those that pass requests to its services, also on other hosts.
    """

    catalogs: dict[str, Catalog]
    edges: tuple[Edge, ...]
    gateways: tuple[Gateway, ...] = ()

    @classmethod
    def of(cls, catalogs: dict[str, Catalog], gateways: tuple[Gateway, ...] = ()) -> Fleet:
        """Return the fleet of these hosts, with the edges between them."""
        return cls(catalogs, tuple(edges_between(catalogs)), gateways)

    def fronted(self) -> dict[str, list[str]]:
        """Return the services that gateways pass requests to, each with these gateways in words."""
        found: dict[str, list[str]] = {}
        for each in self.gateways:
            for service in each.front.upstreams:
                found.setdefault(service, []).append(each.during(service))
        return found

    @property
    def resources(self) -> Iterator[Resource]:
        """The resources of all hosts, those of one host together and each after what it needs."""
        for catalog in self.catalogs.values():
            yield from catalog.resources

    @property
    def endpoints(self) -> Iterator[ServiceInfo]:
        """The services of all hosts: where each is and what it serves."""
        for catalog in self.catalogs.values():
            yield from catalog.services

    @property
    def groups(self) -> list[tuple[str, ...]]:
        """The nodes of each service that runs over several hosts, also those that are left out."""
        return list(dict.fromkeys(each.group for each in self.endpoints if each.group))

    def together(self) -> dict[str, list[str]]:
        """Return by host the hosts that it can only be worked on together with, itself among them."""
        found = {name: [name] for name in self.catalogs}
        for group in self.groups:
            joined = list(dict.fromkeys(each for name in group if name in found for each in found[name]))
            found.update(dict.fromkeys(joined, joined))
        return found

    def way_to(self, host: str) -> Node | None:
        """Return where a container runs: the host, and the resource that creates it if this fleet has one.

        None for a host that is no container.
        """
        return next(
            (each.before for each in self.edges if each.kind == "reach" and each.after.host == host), None
        )

    def inside(self, host: str) -> list[str]:
        """Return the hosts that are containers on a host."""
        return [each.after.host for each in self.edges if each.kind == "reach" and each.before.host == host]

    def deferred(self, host: str) -> dict[str, list[str]]:
        """Return by id the resources of a host that wait for other hosts, and these hosts."""
        found: dict[str, list[str]] = {}
        for each in self.edges:
            if each.after.host == host and each.after.resource is not None:
                found.setdefault(each.after.resource, []).append(each.before.host)
        return found

    def serving(self, service: str) -> Fleet:
        """Return the part with one service: the hosts that have it, without their other services."""
        parts = {
            name: dataclasses.replace(catalog, services=found)
            for name, catalog in self.catalogs.items()
            if (found := [each for each in catalog.services if each.name == service])
        }
        return self._replace(catalogs=parts)

    def tagged(self, tags: frozenset[str]) -> Fleet:
        """Return the part that carries one of `tags`, with everything it needs.

        Hosts that have nothing of that are left out.

        Raises:
            ConfigError: nothing carries one of the tags.
        """
        known = frozenset[str]().union(*(each.tags for each in self.resources))
        unknown = sorted(tags - known)
        if unknown:
            hint = did_you_mean(unknown[0], known, "tags") or "no play and no service has tags"
            raise failure("unknown-tag", f"nothing has the tag {quoted(unknown[0])}", hint=hint)
        parts = {name: catalog.tagged(tags) for name, catalog in self.catalogs.items()}
        return Fleet.of({name: part for name, part in parts.items() if part.resources}, self.gateways)
