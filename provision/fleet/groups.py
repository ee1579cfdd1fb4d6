"""Services that run over several hosts: which hosts are the nodes of one, and in which order."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from provision.kinds.common.group import Group, divided
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
        return divided(nodes, self._hosts[play.raw], play.host) if nodes is not None else None
