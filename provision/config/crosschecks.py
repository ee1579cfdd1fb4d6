"""What no single play can know: whether all services of a host fit beside each other."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from provision.config.playbook import Play
from provision.config.problems import Position, Problems
from provision.config.services.base import Listener

_EVERY_ADDRESS = ("0.0.0.0", "::", "[::]")


class _Taken(NamedTuple):
    service: str
    listener: Listener
    position: Position


def check_host(plays: Sequence[Play]) -> Problems:
    """What is wrong between the services of one host, over all its plays.

    Two services cannot have one name, as both would be the same unit, and cannot listen on one port.
    """
    problems = Problems()
    first: dict[str, Position] = {}
    taken: list[_Taken] = []
    for play in plays:
        for name, service in play.fields.services.items():
            position = play.where("services", name, key=True)
            if name in first:
                message = f"the service `{name}` is declared already at {first[name]}"
                problems.add("name-taken", position, message, "give one of them another name")
                continue
            first[name] = position
            for listener in service.listeners():
                here = _Taken(name, listener, play.where("services", name, *listener.loc))
                other = next((there for there in taken if _clash(there.listener, listener)), None)
                if other is not None:
                    whose = f"service `{other.service}` ({other.position})"
                    message = f"port {listener.port} of service `{name}` is taken by {whose}"
                    problems.add("port-taken", here.position, message, "give one of them another port")
                taken.append(here)
    return problems


def _clash(one: Listener, other: Listener) -> bool:
    if (one.port, one.protocol) != (other.port, other.protocol):
        return False
    addresses = {None if address in _EVERY_ADDRESS else address for address in (one.address, other.address)}
    return None in addresses or len(addresses) == 1
