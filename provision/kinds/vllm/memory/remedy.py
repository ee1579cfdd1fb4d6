"""The smallest change of a service that makes it fit."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from provision.kinds.common.cards import Card
from provision.kinds.vllm.fields import VllmService
from provision.kinds.vllm.memory.architecture import Architecture
from provision.kinds.vllm.memory.fit import Fit

MOST_SHARE = 0.95
"""The largest share of a card that is proposed: a desktop, other processes and CUDA itself need some."""

MOST_GPUS = 8
"""A host rarely has more; over more hosts there is `pipeline_parallel_size`, which is not proposed."""


ROUND = 1024
"""Proposed lengths are multiples of this many tokens."""


@dataclass(frozen=True)
class Remedy:
    """A change that makes a service fit: fields with their values, and what is foreseen with them."""

    fields: dict[str, Any]
    fit: Fit

    def __str__(self) -> str:
        return ", ".join(f"{name} {value}" for name, value in self.fields.items())


def remedies(
    found: Fit, model: Architecture, service: VllmService, card: Card, foreseen: Callable[[VllmService], Fit]
) -> Iterator[Remedy]:
    """Give the changes of one field that make a service fit, the smallest first; none when it fits.

    Args:
        found: what is foreseen of the service as it is.
        model: the shape of its model.
        service: its fields.
        card: the GPUs that it runs on.
        foreseen: says what is foreseen of it with other fields.
    """
    if found.verdict == "fits":
        return
    helped: list[set[str]] = []
    for fields in _changes(found, model, service, card):
        if set(fields) in helped:
            continue
        fit = foreseen(service.model_copy(update=fields))
        if fit.verdict == "fits":
            helped.append(set(fields))
            yield Remedy(fields, fit)


NO_FILMS = '--limit-mm-per-prompt={"video": 0}'
"""Without films, the largest item that an encoder is tried with is an image."""


def _changes(found: Fit, model: Architecture, service: VllmService, card: Card) -> Iterator[dict[str, Any]]:
    chosen = found.settings
    if chosen.length and chosen.length > model.context:
        yield {"max_model_len": model.context}
    shares = [percent / 100 for percent in range(5, round(MOST_SHARE * 100) + 1, 5)]
    yield from ({"gpu_memory_utilization": share} for share in shares if share > chosen.utilization)
    yield from ({"gpu_memory_utilization": share} for share in reversed(shares) if share < chosen.utilization)
    for length in _lengths(found):
        yield {"max_model_len": length}
    if model.films and chosen.images and chosen.films:
        yield {"extra_args": [*service.extra_args, NO_FILMS]}
    if chosen.cache_dtype == "auto" and card.float8 and not model.hybrid:
        yield {"kv_cache_dtype": "fp8"}
    if chosen.graphs and found.overhead.counted:
        yield {"enforce_eager": True}
    if chosen.batched > 2048:
        yield {"max_num_batched_tokens": 2048}
    for size in (2, 4, 8):
        if chosen.tensor < size <= MOST_GPUS:
            yield {"tensor_parallel_size": size}
    if model.quantization is None and chosen.quantization is None and card.capability >= (8, 0):
        yield {"quantization": "fp8"}
    if chosen.dtype == "bfloat16" and not card.bfloat16:
        yield {"dtype": "float16"}


def _lengths(found: Fit) -> Iterator[int]:
    """Return shorter contexts in round numbers, the longest first."""
    most = min(found.longest or 0, found.length - 1)
    for percent in (100, 95, 90, 80, 70, 60, 50, 25, 10):
        length = most * percent // 100 // ROUND * ROUND
        if length:
            yield length
