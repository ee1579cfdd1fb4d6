"""The rule of nftables that closes the ports between the nodes of a service to all other hosts."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from typing import Any, NamedTuple

from provision.catalog import text
from provision.kinds.common.context import ServiceContext
from provision.wire.nodes import Closed


class Firewall(NamedTuple):
    """The rule of a service: its file, and what a unit runs before the start and after the end."""

    path: str
    content: str
    before: str
    after: str


NFT = "/usr/sbin/nft"
"""The program, where the distributions have it."""

CHECK = [NFT, "-c", "-f", "{path}"]
"""What has to accept the file."""

CHOSEN = (32768, 60999)
"""The ports from which Linux gives one to a program that asks for any, as vLLM, NCCL and Gloo do."""

SSH = 22

Ports = Sequence[tuple[int, int]]
"""Ranges of ports, each with its first and its last."""


def table(service: str) -> str:
    """Return the name of the table, which nothing but the service has."""
    return f"provision-{service}"


def rule(
    context: ServiceContext[Any],
    addresses: Sequence[str],
    own: str,
    interface: str | None,
    ports: Ports,
) -> Firewall | None:
    """Return the rule, or None after noting what is wrong.

    Args:
        context: the service.
        addresses: those of all nodes.
        own: that of this one.
        interface: the one between the nodes; None: any.
        ports: those that are declared.
    """
    for each in addresses:
        if not _numeric(each):
            message = f"the firewall needs addresses, and {each} is a name"
            where = ("nodes",) if hasattr(context.service, "nodes") else ("firewall",)
            context.problem("wrong-form", where, message, "write the addresses of the nodes in `addresses`")
            return None
    file = context.layout.service(context.name, "firewall.nft")
    return Firewall(
        file,
        _rule(context, addresses, own, interface, ports),
        f"+{NFT} -f {text.unit_word(file, command=True)}",
        f"-+{NFT} delete table inet {table(context.name)}",
    )


def closed(context: ServiceContext[Any], addresses: Sequence[str], ports: Ports) -> Closed:
    """Return what the rule does, for the hosts to look at before it is loaded; see `rule`."""
    first, last = CHOSEN
    return Closed(let_in=list(addresses), first=first, last=last, spared=_open(context, ports))


def _rule(
    context: ServiceContext[Any],
    addresses: Sequence[str],
    own: str,
    interface: str | None,
    ports: Ports,
) -> str:
    name = table(context.name)
    over = f'iifname "{interface}" ' if interface is not None else ""
    families = {family: [each for each in addresses if _family(each) == family] for family in ("ip", "ip6")}
    let_in = [
        f"{over}{key} saddr {{ {', '.join(found)} }} accept" for key, found in families.items() if found
    ]
    first, last = CHOSEN
    lines = [
        'iifname "lo" accept',
        *let_in,
        f"tcp dport {{ {', '.join(map(str, _open(context, ports)))} }} accept",
        *(f"tcp dport {begin}-{end} drop" for begin, end in ports),
        # The first packet of a connection: answers to connections from here come in to such ports, too.
        f"{_family(own)} daddr {own} tcp dport {first}-{last} tcp flags & (syn | ack) == syn drop",
    ]
    body = "\n".join(f"\t\t{line}" for line in lines)
    return (
        f"# {context.managed}\n"
        f"table inet {name}\ndelete table inet {name}\ntable inet {name} {{\n"
        f"\tchain input {{\n\t\ttype filter hook input priority filter; policy accept;\n{body}\n\t}}\n}}\n"
    )


def _open(context: ServiceContext[Any], ports: Ports) -> list[int]:
    """Return the ports that stay open to everybody: ssh, and those of the services of the play."""
    host = context.builder.host
    found = {SSH, host.port or SSH}
    for service in context.play.fields.services.values():
        found.update(each.port for each in service.listeners() if each.protocol == "tcp")
    return sorted(port for port in found if not any(begin <= port <= end for begin, end in ports))


def _numeric(address: str) -> bool:
    try:
        ipaddress.ip_address(address.strip("[]"))
    except ValueError:
        return False
    return True


def _family(address: str) -> str:
    return "ip6" if ipaddress.ip_address(address.strip("[]")).version == 6 else "ip"
