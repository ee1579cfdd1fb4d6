"""What people are shown of starts: who takes what of each GPU."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from provision.foresight.naming import card
from provision.wire.survey import Load, Taker

if TYPE_CHECKING:
    from provision.foresight.starts import Starts
    from provision.foresight.subject import Subject
    from provision.wire.survey import Gpu


def loads(starts: Starts) -> Iterator[Load]:
    """Give each GPU on which something is, once everything runs."""
    for gpu in starts.surveyed.gpus or ():
        found = card(gpu)
        takers = [taker for each in starts.all if gpu in each.used for taker in _taker(starts, each, gpu)]
        takers += starts.holding.strangers(gpu)
        if found and takers:
            yield Load(index=gpu.index, name=found.name, memory=found.total, takers=takers)


def _taker(starts: Starts, subject: Subject, gpu: Gpu) -> Iterator[Taker]:
    """Give what a service takes of a GPU; one that cannot run with what it would take."""
    demand = starts.demands.get(subject.name)
    held = starts.holding.held(gpu, subject.name)
    known = demand or subject.figures
    weights, cache = (known.weights, known.cache) if known else (None, None)
    parts = weights + cache if weights is not None and cache is not None else 0
    total = max(held or (demand.holds.usual if demand else 0), parts if demand or held else 0)
    if total:
        yield Taker(
            name=subject.name,
            foreign=False,
            bytes=total,
            weights=weights,
            cache=cache,
            rest=total - parts if parts else None,
            learned=demand.learned if demand else known is not None,
        )
