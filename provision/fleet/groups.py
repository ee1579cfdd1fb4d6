"""Services that run over several hosts: which hosts are the nodes of one, and in which order."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from provision.config.problems import did_you_mean
from provision.config.services.nodes import Of
from provision.kinds.common.group import Group, divided, no_group
from provision.kinds.registry import KINDS

if TYPE_CHECKING:
    from provision.config.hosts import Host
    from provision.config.playbook import Play, RawPlay


class Groups:
    """The groups of nodes of some plays.

    Args:
        plays: by host, those of all hosts that a play is for.
    """

    def __init__(self, plays: Mapping[str, Sequence[Play]]) -> None:
        self._hosts: defaultdict[RawPlay, list[Host]] = defaultdict(list)
        for found in plays.values():
            for play in found:
                self._hosts[play.raw].append(play.host)

    def of(self, play: Play, name: str) -> Group | None:
        """Return the group that the host of a play is in; None for what runs on each host by itself."""
        service = play.fields.services[name]
        nodes = KINDS[service.kind].nodes(service)
        if isinstance(nodes, Of):
            return self._shared(play, nodes)
        return divided(nodes, self._hosts[play.raw], play.host) if nodes is not None else None

    def _shared(self, play: Play, nodes: Of) -> Group | None:
        """Return the group of another service of the play, all nodes of which start together here."""
        there = {name: each for name, each in play.fields.services.items() if each.kind == nodes.kind}
        if nodes.service not in there:
            message = f"the play has no service `{nodes.service}` of kind {nodes.kind}"
            hint = (
                did_you_mean(nodes.service, there)
                or f"declare it beside this one, with its `kind: {nodes.kind}`"
            )
            return no_group(play.host, message, hint)
        found = self.of(play, nodes.service)
        return replace(found, joins=False) if found is not None else None
