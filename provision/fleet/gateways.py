"""The gateways of a project, and which servers each has."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

from provision.catalog.layout import Layout
from provision.kinds.common.front import Front
from provision.kinds.registry import KINDS

if TYPE_CHECKING:
    from provision.config.playbook import Play
    from provision.kinds.common.offer import Replicas


class Gateway(NamedTuple):
    """A gateway on one host.

    Args:
        host: the name of its host.
        front: what it is.
        servers: of each of its services the hosts that have it, with the port there.
    """

    host: str
    front: Front
    servers: Mapping[str, Mapping[str, int | None]]

    def during(self, service: str) -> str:
        """Return where a service is taken out of rotation, and what clients see if it is alone there."""
        if len(self.servers[service]) != 1:
            return str(self)
        queue = self.front.queue
        meanwhile = (
            "requests get 503 until it is back" if queue is None else f"requests wait up to {queue:g} s"
        )
        return f"{self} (the only one there: {meanwhile})"

    def __str__(self) -> str:
        return f"{self.front.name} on {self.host}"


def gateways(plays: Mapping[str, Sequence[Play]], known: Replicas) -> tuple[Gateway, ...]:
    """Return the gateways of plays.

    Args:
        plays: by host.
        known: the services of all hosts, by name.
    """
    found: list[Gateway] = []
    for host, every in plays.items():
        for play in every:
            for name, service in play.fields.services.items():
                made = KINDS[service.kind].front
                if made is None or not play.host.prefix:
                    continue
                front = made(service, name, Layout(play.host.prefix))
                servers = {each: _ports(known, each) for each in front.upstreams}
                found.append(Gateway(host, front, servers))
    return tuple(found)


def _ports(known: Replicas, service: str) -> dict[str, int | None]:
    return {each.host.name: each.offer.port if each.offer else None for each in known.get(service, ())}
