"""Who holds memory of which GPU, now and while services start one after another."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field

from provision.foresight.naming import card
from provision.kinds.common.cards import GIB, gib
from provision.kinds.common.demand import NOTHING, Range, Taken
from provision.wire.questions import Surveyed
from provision.wire.survey import Gpu, Holder, Taker

UNKNOWN = "something that the driver does not list"
"""Who takes what is in use beside all listed processes: those of other containers, for example."""

UNLISTED = GIB // 2
"""Bytes in use beside those of all listed processes that do not count: drivers need some themselves."""


@dataclass
class Holding:
    """The memory of the GPUs of a host that is taken.

    Args:
        surveyed: what the host has told.
        ours: the services that are judged. All other processes are foreign.
    """

    surveyed: Surveyed
    ours: Collection[str]
    _services: defaultdict[str, dict[str, Range]] = field(default_factory=lambda: defaultdict(dict))
    """By the UUID of a GPU, what services hold."""
    _unclear: set[str] = field(default_factory=set)
    """GPUs of which nobody tells how much of what is in use our own services hold."""

    def hold(self, gpu: Gpu, service: str, bytes: Range) -> None:
        """Note what a service holds of a GPU from now on."""
        self._services[gpu.uuid][service] = bytes

    def blur(self, gpu: Gpu) -> None:
        """Note that a service runs on a GPU and that the driver does not tell what it holds."""
        self._unclear.add(gpu.uuid)

    def release(self, service: str) -> None:
        """Note that a service holds nothing any more: it stops."""
        for held in self._services.values():
            held.pop(service, None)

    def now(self, gpu: Gpu, service: str) -> int | None:
        """Return what the processes of a service hold of a GPU now; None where nobody tells."""
        found = [each for each in self._of(gpu) if each.service == service]
        if not found or any(each.bytes is None for each in found):
            return None
        return sum(each.bytes or 0 for each in found)

    def held(self, gpu: Gpu, service: str) -> int | None:
        """Return what a service usually holds of a GPU, as far as it was noted."""
        found = self._services[gpu.uuid].get(service)
        return found.usual if found else None

    def taken(self, gpu: Gpu, service: str, strangers: bool = True) -> Taken:
        """Return what others hold of a GPU when a service starts: other services, and other processes."""
        others = {name: held for name, held in self._services[gpu.uuid].items() if name != service}
        foreign = list(self.strangers(gpu)) if strangers else []
        total = sum(others.values(), NOTHING)
        total += Range.exactly(sum(each.bytes for each in foreign))
        said = [(held.usual, name) for name, held in others.items()]
        said += [(each.bytes, each.name) for each in foreign]
        said.sort(reverse=True)
        return Taken(total, ", ".join(f"{name} takes {gib(count)}" for count, name in said))

    def strangers(self, gpu: Gpu) -> Iterator[Taker]:
        """Give the processes of a GPU that are none of the services that are judged."""
        known = 0
        for each in self._of(gpu):
            known += each.bytes or 0
            if each.service not in self.ours and each.bytes:
                name = each.service or f"{each.command} (pid {each.pid})"
                yield Taker(name=name, foreign=True, bytes=each.bytes)
        ending = sum(each.bytes or 0 for each in self.surveyed.holders if each.gpu == gpu.uuid and each.ends)
        rest = (gpu.used or 0) - known - ending
        if rest > UNLISTED and gpu.uuid not in self._unclear:
            yield Taker(name=UNKNOWN, foreign=True, bytes=rest)

    def room(self, gpu: Gpu, service: str) -> int:
        """Return the bytes of a GPU that are surely free for a service."""
        found = card(gpu)
        return found.total - self.taken(gpu, service).bytes.most if found else 0

    def left_over(self) -> Iterator[Holder]:
        """Give the workers of servers that have ended, which this run leaves alone."""
        return (each for each in self.surveyed.holders if each.left_over and not each.ends)

    def only_left_over(self, gpu: Gpu) -> bool:
        """Whether all foreign processes of a GPU are workers whose server has ended."""
        return all(each.left_over for each in self._of(gpu) if each.service not in self.ours)

    def _of(self, gpu: Gpu) -> list[Holder]:
        """Return the processes on a GPU that will still be there when services start."""
        return [each for each in self.surveyed.holders if each.gpu == gpu.uuid and not each.ends]
