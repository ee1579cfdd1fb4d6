"""The upstreams of a gateway: which servers each has, and how the gateway reaches them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from provision.config.problems import did_you_mean
from provision.kinds.common import trust
from provision.kinds.common.context import ServiceContext
from provision.kinds.common.offer import Offer, Replica

if TYPE_CHECKING:
    from provision.config.hosts import Host
    from provision.kinds.gateway.fields import GatewayService

EVERYWHERE = (None, "", "0.0.0.0", "::", "[::]", "*")
"""What stands for all addresses."""

WIDER = (
    "let the service listen on an address that the gateway reaches (`host`), or put the gateway on its host"
)


@dataclass(frozen=True)
class Server:
    """One replica.

    Args:
        host: the name of its host, which HAProxy calls the server by.
        address: as the gateway reaches it.
        port: where it listens.
        tls: whether it speaks TLS.
    """

    host: str
    address: str
    port: int
    tls: bool

    @property
    def place(self) -> str:
        """Address and port."""
        return f"[{self.address}]:{self.port}" if ":" in self.address else f"{self.address}:{self.port}"


@dataclass(frozen=True)
class Upstream:
    """A service with its replicas. What it offers is the same on all hosts, but for address, port and TLS.

    Args:
        name: the service, which HAProxy calls the backend by.
        offer: what its replicas offer.
        servers: its replicas.
    """

    name: str
    offer: Offer
    servers: Sequence[Server]


def found(context: ServiceContext[GatewayService]) -> list[Upstream] | None:
    """Return the upstreams of a gateway; None after noting each that it cannot have."""
    all_of_them = [_upstream(context, index, name) for index, name in enumerate(context.service.upstreams)]
    known = [each for each in all_of_them if each is not None]
    return known if len(known) == len(all_of_them) else None


def _upstream(context: ServiceContext[GatewayService], index: int, name: str) -> Upstream | None:
    where = ("upstreams", index)
    there = context.replicas.get(name, ())
    if not there:
        others = [other for other in context.replicas if other != context.name]
        hint = did_you_mean(name, others) or "name the playbook that declares it on the command line, too"
        context.problem("unknown-upstream", where, f"there is no service `{name}`", hint)
        return None
    servers: list[Server] = []
    for each in there:
        what, offer = f"service {name} on host {each.host.name}", each.offer
        if offer is None:
            message = f"{what} is of kind {each.kind}, which takes no requests from a gateway"
            context.problem("impossible-upstream", where, message, "name the services behind it")
            return None
        if offer.port is None:
            hint = "let it listen on a port, and name the port in its play"
            context.problem("impossible-upstream", where, f"{what} has no port", hint)
            return None
        address = _address(context, index, each, offer)
        if address is None:
            return None
        servers.append(Server(each.host.name, address, offer.port, offer.tls))
    first = there[0]
    assert first.offer is not None
    for each in there:
        differ = _difference(first, each)
        if differ is not None:
            hosts = f"{first.host.name} and {each.host.name}"
            message = f"the replicas of {name} on {hosts} have different {differ}"
            hint = "give them the same, or give one of them another name: requests go to any of them"
            context.problem("unequal-replicas", where, message, hint)
            return None
    return Upstream(name, first.offer, servers)


def _difference(one: Replica, other: Replica) -> str | None:
    """Return in what two replicas differ that has to be the same; None for nothing."""
    assert one.offer is not None
    assert other.offer is not None
    if one.kind != other.kind:
        return "kinds"
    if one.offer.key != other.offer.key:
        return "keys"
    return "models" if list(one.offer.models) != list(other.offer.models) else None


def _address(
    context: ServiceContext[GatewayService], index: int, replica: Replica, offer: Offer
) -> str | None:
    """Return where the gateway's host reaches a replica; None after noting that it does not."""
    here, there = context.builder.host, replica.host
    given = context.service.addresses.get(there.name)
    own = _same_machine(here, there)
    if trust.loopback(offer.bind) and not own:
        message = (
            f"service {context.service.upstreams[index]} on host {there.name} listens only on "
            f"{offer.bind}, which host {here.name} does not reach"
        )
        context.problem("unreachable-upstream", ("upstreams", index), message, WIDER)
        return None
    if given is not None:
        return given
    if offer.bind not in EVERYWHERE:
        return str(offer.bind).strip("[]")
    if own:
        return "127.0.0.1"
    if there.connection != "ssh":
        message = f"the address of host {there.name} (connection {there.connection}) is not known"
        hint = f"say where host {here.name} reaches it: `addresses: {{{there.name}: ADDRESS}}`"
        context.problem("unreachable-upstream", ("upstreams", index), message, hint)
        return None
    return there.address or there.name


def _same_machine(here: Host, there: Host) -> bool:
    return here.name == there.name or (here.connection == there.connection == "local")
