"""Which hosts are changed first, and which only after these have been proven."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from provision.config.pace import Pace, Portion
    from provision.fleet.fleet import Fleet


class Waves(NamedTuple):
    """Hosts that are changed together, wave by wave.

    Args:
        hosts: the names of each wave.
        max_failures: hosts that may fail before no further one is changed.
        pause: seconds between the end of a wave and the beginning of the next one.
        declared: whether a play or the command line has said something of it.
    """

    hosts: tuple[tuple[str, ...], ...]
    max_failures: int = 0
    pause: float = 0.0
    declared: bool = False

    def numbers(self) -> dict[str, int]:
        """Return the wave of each host, counted from 0."""
        return {name: number for number, names in enumerate(self.hosts) for name in names}


def waves(fleet: Fleet, serial: Portion | None = None) -> Waves:
    """Return the waves of a fleet: one of all hosts where no play with services has several.

    A host of several plays comes as late as the latest of them says, a container not before the host that
    it is on, and a gateway not before what it passes requests to. The hosts of one service are in one wave.
    The strictest limit holds for all.

    Args:
        fleet: the hosts.
        serial: of the command line, instead of what the plays say.
    """
    plays: defaultdict[str, list[str]] = defaultdict(list)
    paces: dict[str, Pace] = {}
    for name, catalog in fleet.catalogs.items():
        for place, pace in catalog.paces.items():
            plays[place].append(name)
            paces[place] = pace
    several = {place: names for place, names in plays.items() if len(names) > 1}
    numbers = dict.fromkeys(fleet.catalogs, 0)
    together = fleet.together()
    for place, names in several.items():
        own = dict(zip(names, _numbers(len(names), paces[place], serial), strict=True))
        for name in names:
            first = min(own[other] for other in together[name] if other in own)
            numbers[name] = max(numbers[name], first)
    _after_others(fleet, numbers, together)
    counted = [(paces[place], len(names)) for place, names in several.items()]
    used = sorted(set(numbers.values()))
    return Waves(
        tuple(tuple(name for name in numbers if numbers[name] == number) for number in used),
        min((pace.max_failures.of(hosts) for pace, hosts in counted), default=0),
        max((pace.pause for pace, _ in counted), default=0.0),
        serial is not None or any(pace.declared for pace, _ in counted),
    )


def _numbers(hosts: int, pace: Pace, serial: Portion | None) -> Sequence[int]:
    """Return the wave of each of some hosts."""
    size = max((serial or pace.serial).of(hosts), 1)
    canary = min(pace.canary, hosts)
    first = 1 if canary else 0
    return [0] * canary + [first + index // size for index in range(hosts - canary)]


def _after_others(fleet: Fleet, numbers: dict[str, int], together: Mapping[str, Sequence[str]]) -> None:
    """Put hosts that have to come after others into a wave that is not before theirs."""
    known = [(each.before.host, each.after.host) for each in fleet.edges if each.before.host in numbers]
    later = [edge for edge in known if edge[1] in numbers and not fleet.inside(edge[1])]
    # Each of those that are worked on together comes after the others.
    later += [(before, after) for after, others in together.items() for before in others if before != after]
    for _ in later:
        for before, after in later:
            numbers[after] = max(numbers[after], numbers[before])
