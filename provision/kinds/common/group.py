"""The nodes of a service that runs over several hosts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from provision.config.problems import did_you_mean
from provision.config.services.nodes import All, Nodes

if TYPE_CHECKING:
    from provision.config.hosts import Host


@dataclass(frozen=True)
class Group:
    """The nodes of one service, as one of them has it.

    Args:
        hosts: the nodes; the place of each is its rank, and the first is the head.
        rank: that of this node.
        joins: whether each node joins by itself, so that some can be changed without the others.
        trouble: why there is no such group: a sentence and the way out; None where all is well.
    """

    hosts: tuple[Host, ...]
    rank: int
    trouble: tuple[str, str] | None = None
    joins: bool = False

    @property
    def head(self) -> Host:
        """The node that takes the requests."""
        return self.hosts[0]

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the nodes, by rank."""
        return tuple(host.name for host in self.hosts)


def divided(nodes: Nodes | All, hosts: Sequence[Host], here: Host) -> Group:
    """Return the group of which a host of a play is a node.

    Args:
        nodes: as declared.
        hosts: those of the play.
        here: one of them.
    """
    known = {host.name: host for host in hosts}
    names = list(known)
    if isinstance(nodes, All):
        if nodes.head not in known:
            hint = did_you_mean(nodes.head, names, "hosts of the play") or "add it to the hosts of the play"
            return no_group(here, f"host `{nodes.head}` is not one of the play", hint)
        others = [host for host in known.values() if host.name != nodes.head]
        return replace(_group([known[nodes.head], *others], here), joins=True)
    if isinstance(nodes.hosts, int):
        size, place = nodes.hosts, names.index(here.name)
        if len(names) % size:
            message = f"the play has {_hosts(len(names))}, which cannot be divided into groups of {size}"
            return no_group(here, message, "change the number, or name the hosts")
        begin = place - place % size
        return _group([known[name] for name in names[begin : begin + size]], here)
    if isinstance(nodes.hosts, str):
        members = [host for host in hosts if nodes.hosts in (*host.groups, host.name)]
        what = f"the group `{nodes.hosts}`"
        if not members:
            groups = {group for host in hosts for group in host.groups}
            hint = did_you_mean(nodes.hosts, groups, "groups of these hosts") or "name the hosts in a list"
            return no_group(here, f"no host of the play is in {what}", hint)
    else:
        listed = nodes.hosts or []
        missing = [name for name in listed if name not in known]
        if missing:
            hint = did_you_mean(missing[0], names, "hosts of the play") or "add it to the hosts of the play"
            return no_group(here, f"host `{missing[0]}` is not one of the play", hint)
        members, what = [known[name] for name in listed], "`nodes`"
    if here.name not in [host.name for host in members]:
        hint = "add it, or put the service into a play for the nodes alone"
        return no_group(here, f"host {here.name} of the play is not in {what}", hint)
    if len(members) < 2:
        return no_group(here, f"{what} is one host alone", "name another host, or leave `nodes` out")
    return _group(members, here)


def _group(members: Sequence[Host], here: Host) -> Group:
    return Group(tuple(members), [host.name for host in members].index(here.name))


def no_group(here: Host, message: str, hint: str) -> Group:
    """Return what stands for a group that there is not, and why."""
    return Group((here,), 0, (message, hint))


def _hosts(count: int) -> str:
    return "1 host" if count == 1 else f"{count} hosts"
