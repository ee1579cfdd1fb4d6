"""Which GPUs of a host a service means."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, NamedTuple

from provision.kinds.common import cards
from provision.kinds.common.cards import Card, seen
from provision.wire.survey import Gpu

if TYPE_CHECKING:
    from provision.config.hosts import Host

ALL = "all"

PART = "MIG-"
"""How the UUID of a part of a divided GPU begins."""


class Meant(NamedTuple):
    """The GPUs that names stand for, in their order; and the names that stand for none."""

    gpus: list[Gpu]
    missing: list[str]


def meant(names: Sequence[str], gpus: Sequence[Gpu]) -> Meant:
    """Return the GPUs that a service names: by index, by UUID or the first digits of one, or `all`."""
    if ALL in names:
        return Meant(whole(gpus), [])
    found: dict[str, Gpu] = {}
    missing = []
    for name in names:
        gpu = _one(name, gpus)
        if gpu is None and "/" not in name:  # the older names of parts, MIG-GPU-…/1/0, are not known here
            missing.append(name)
        elif gpu is not None:
            found[gpu.uuid or str(gpu.index)] = gpu
    return Meant(list(found.values()), missing)


def whole(gpus: Iterable[Gpu]) -> list[Gpu]:
    """Return the GPUs without the parts of those that are divided."""
    return [gpu for gpu in gpus if not gpu.uuid.startswith(PART)]


def _one(name: str, gpus: Iterable[Gpu]) -> Gpu | None:
    if name.isdecimal():
        return next((gpu for gpu in gpus if gpu.index == int(name)), None)
    return next((gpu for gpu in gpus if gpu.uuid.lower().startswith(name.lower())), None)


def stated(host: Host) -> list[Gpu]:
    """Return the GPUs that the inventory says a host has; none where it says nothing."""
    known = [(count, cards.card(name)) for count, name in map(cards.counted, host.gpus)]
    each_one = [each for count, each in known if each is not None for _ in range(count)]
    return [_gpu(index, each) for index, each in enumerate(each_one)]


def _gpu(index: int, each: Card) -> Gpu:
    return Gpu(
        index=index,
        uuid=f"stated-{index}",
        name=each.name,
        memory=None,
        used=None,
        capability=list(each.capability),
    )


def card(gpu: Gpu) -> Card | None:
    """Return a GPU as an engine sees it; None where nobody tells how much memory it has."""
    major, minor = gpu.capability or (0, 0)
    return seen(gpu.name, gpu.memory, (major, minor) if gpu.capability else None)


def listed(names: Sequence[str]) -> str:
    """Return names as people list them: `a, b and c`."""
    return " and ".join(filter(None, [", ".join(names[:-1]), names[-1]]))


def summed(names: Sequence[str]) -> str:
    """Return the names of GPUs as an inventory has them: `4xH100, 2xL4`."""
    found: list[tuple[str, int]] = []
    for name in names:
        count = found.pop()[1] if found and found[-1][0] == name else 0
        found.append((name, count + 1))
    return ", ".join(f"{count}x{name}" for name, count in found)


def called(gpus: Sequence[Gpu]) -> str:
    """Return what people call some GPUs: `GPU 0`, `GPUs 0, 1`."""
    return f"GPU{'' if len(gpus) == 1 else 's'} {listed([str(gpu.index) for gpu in gpus])}"
