"""How the ranks of a service that runs over several hosts start together: a program before their own."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from importlib.resources import files
from posixpath import join
from typing import TYPE_CHECKING, Any

from provision.config.services.nodes import Nodes
from provision.kinds.common import firewall
from provision.kinds.common.context import ServiceContext
from provision.kinds.common.group import Group
from provision.wire.nodes import Meeting, Node
from provision.wire.specs.file import FileSpec

if TYPE_CHECKING:
    from provision.catalog.environments import Environment
    from provision.catalog.models import Model
    from provision.config.hosts import Host
    from provision.kinds.common.firewall import Firewall

FILE = "rank.py"
"""The name of the program."""


def group(context: ServiceContext[Any], nodes: Nodes) -> Group | None:
    """Return the group of a service; None after noting why there is none."""
    found = context.group
    if found is None:
        return None
    if found.trouble is not None:
        where = "hosts" if nodes.cluster is None else "cluster"
        context.problem("nodes-mismatch", ("nodes", where), *found.trouble)
        return None
    if not context.systemd:
        message = (
            f"nodes are supervised by systemd, and a script supervises on host {context.builder.host.name}"
        )
        context.problem("no-systemd", ("nodes",), message, "use hosts with systemd and root as nodes")
        return None
    return found if address(context, nodes, found) is not None else None


def address(context: ServiceContext[Any], nodes: Nodes, found: Group) -> str | None:
    """Return where the other nodes reach the head; None after noting that it is not known."""
    head = found.head
    known = _address(nodes, head)
    if known is None:
        message = f"the address of host {head.name} (connection {head.connection}) is not known"
        hint = f"say where the other nodes reach it: `addresses: {{{head.name}: ADDRESS}}`"
        context.problem("unreachable-node", ("nodes",), message, hint)
        return None
    return known


def meeting(
    context: ServiceContext[Any],
    nodes: Nodes,
    found: Group,
    environment: Environment | None,
    models: Sequence[Model],
) -> Meeting:
    """Return what the nodes compare before a service is changed.

    Args:
        context: the service.
        nodes: as declared.
        found: its group.
        environment: what it runs in.
        models: those that it loads.
    """
    return Meeting(
        node=node(context, found),
        address=_address(nodes, found.hosts[found.rank]),
        interface=nodes.interface,
        ports=[] if found.rank else list(nodes.ports),
        closed=firewall.closed(context, _addresses(nodes, found), _ports(nodes)) if nodes.firewall else None,
        environment=environment.path if environment is not None else None,
        models={model.name: model.path for model in models},
    )


def closed(context: ServiceContext[Any], nodes: Nodes, found: Group) -> Firewall | None:
    """Return the rule that closes the ports between the nodes to others; None where none is asked for."""
    if not nodes.firewall:
        return None
    addresses = _addresses(nodes, found)
    return firewall.rule(context, addresses, addresses[found.rank], nodes.interface, _ports(nodes))


def _ports(nodes: Nodes) -> firewall.Ports:
    return [(nodes.ports[0], nodes.ports[-1])]


def _addresses(nodes: Nodes, found: Group) -> list[str]:
    return [(_address(nodes, host) or host.name).strip("[]") for host in found.hosts]


def _address(nodes: Nodes, host: Host) -> str | None:
    """Return where the other nodes reach a host, as far as it is declared."""
    given = nodes.addresses.get(host.name)
    return given or host.address or host.name if given or host.connection == "ssh" else None


def node(context: ServiceContext[Any], found: Group) -> Node:
    """Return which node a host is."""
    state = f"/var/lib/provision/{context.name}/rank.json"  # the StateDirectory= of its unit
    return Node(names=list(found.names), rank=found.rank, state=state)


def words(context: ServiceContext[Any], nodes: Nodes, found: Group, declared: str, drain: float) -> list[str]:
    """Return the command that waits for the other ranks, and then runs what follows it.

    Args:
        context: the service.
        nodes: as declared.
        found: its group.
        declared: the same on each rank, and another when the ranks would not fit together.
        drain: seconds for which a stop may wait for running requests.
    """
    service, here = context.service, node(context, found)
    words = [context.builder.host.python, "-I", program(context), context.name]
    words += ["--rank", str(here.rank), "--nodes", ",".join(here.names)]
    words += ["--head", str(address(context, nodes, found)), "--port", str(nodes.line)]
    words += ["--interface", nodes.interface] if nodes.interface is not None else []
    if not here.rank and getattr(service, "port", None) is not None:
        bind = service.host
        own = bind if bind not in (None, "", "0.0.0.0", "::", "*") else "127.0.0.1"
        words += ["--serves", f"[{own}]:{service.port}" if ":" in own else f"{own}:{service.port}"]
    words += ["--drain", f"{drain:g}"] if drain else []
    return [*words, "--declared", declared, "--state", here.state]


def program(context: ServiceContext[Any]) -> str:
    """Return the path of the program on the host."""
    return join(context.layout.prefix, FILE)


def add(context: ServiceContext[Any]) -> str:
    """Add the program, which all services of a host share; returns its id."""
    builder, path = context.builder, program(context)
    builder.imply_directory(context.play, context.where, context.layout.prefix)
    return builder.add(
        context.play, context.where, f"file:{path}", FileSpec(path=path, content=_source()), path
    ).id


@cache
def _source() -> str:
    return (files("provision.host.services.nodes") / FILE).read_text(encoding="utf-8")
