"""The services of all hosts by name, for the gateways in front of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from provision.kinds.common.offer import Replica, Replicas
from provision.kinds.registry import KINDS

if TYPE_CHECKING:
    from provision.config.playbook import Play
    from provision.fleet.groups import Groups


def replicas(plays: Mapping[str, Sequence[Play]], groups: Groups) -> Replicas:
    """Return the services of plays, which are given by host; none where no service passes requests on.

    One that runs over several hosts takes requests on the first of them alone.
    """
    every = [play for found in plays.values() for play in found]
    if not any(service.fronts() for play in every for service in play.fields.services.values()):
        return {}
    found: dict[str, list[Replica]] = {}
    for play in every:
        for name, service in play.fields.services.items():
            group = groups.of(play, name)
            if group is not None and group.rank:
                continue
            offer = KINDS[service.kind].offers(service, name)
            found.setdefault(name, []).append(Replica(play.host, service.kind, offer))
    return found
