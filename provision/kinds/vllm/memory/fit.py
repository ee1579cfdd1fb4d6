"""Whether a service starts on a card, and what it has room for then.

The rule is vLLM's own (`v1/worker/utils.py`, `request_memory`; `v1/worker/gpu_worker.py`,
`determine_available_memory`; `v1/core/kv_cache_utils.py`, `_check_enough_kv_cache_memory`): from its share of
the card the engine subtracts the weights, the peak of a step and what else it holds. The rest is for keys and
values, and must have room for one sequence of the longest length.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from math import ceil
from typing import Literal

from packaging.version import Version

from provision.config.problems import quoted
from provision.kinds.vllm.fields import VllmService
from provision.kinds.vllm.memory import kv, weights
from provision.kinds.vllm.memory.architecture import Architecture
from provision.kinds.vllm.memory.cards import GIB, Card
from provision.kinds.vllm.memory.kv import Cache
from provision.kinds.vllm.memory.overhead import Overhead, Range, overhead
from provision.kinds.vllm.memory.parallel import divisors, indivisible
from provision.kinds.vllm.memory.published import published
from provision.kinds.vllm.memory.settings import Settings, settings
from provision.kinds.vllm.memory.tensors import Tensor
from provision.wire.finding import ERROR, Finding, fault, information, warning

Verdict = Literal["fits", "does_not_fit", "uncertain"]


@dataclass(frozen=True)
class Fit:
    """What is foreseen of a service, on each of its GPUs; of several stages, the one with the least room.

    - `weights`: bytes; None when neither files nor a known family tell
    - `counted`: the files list the weights; else they are computed
    - `overhead`: what is needed beside weights and cache
    - `cache`: bytes for keys and values
    - `needed`: the bytes of these that one sequence of `length` tokens takes
    - `tokens`: that the cache has room for; None where provision does not know the layers
    - `sequences`: of `length` tokens that it has room for at once
    - `longest`: the longest `max_model_len` that starts, in tokens
    """

    verdict: Verdict
    settings: Settings
    card: Card
    weights: int | None
    counted: bool
    overhead: Overhead
    cache: Range
    needed: int | None
    length: int
    tokens: int | None
    sequences: float | None
    longest: int | None
    findings: list[Finding] = field(default_factory=list)


@dataclass(frozen=True)
class Draft:
    """A model that drafts tokens for speculative decoding, and its weights; None as for the model itself."""

    model: Architecture
    tensors: Sequence[Tensor] | None


def foresee(
    model: Architecture,
    tensors: Sequence[Tensor] | None,
    service: VllmService,
    card: Card,
    release: Version,
    taken: int = 0,
    draft: Draft | None = None,
) -> Fit:
    """Say whether a service starts.

    Args:
        model: the shape of its model.
        tensors: the weights of the model as its files list them; None when these are not at hand.
        service: its fields.
        card: the GPUs that it runs on, all alike.
        release: vLLM's.
        taken: bytes of each card that others hold.
        draft: the model that `speculative` names.
    """
    chosen = settings(service, model, card, release)
    findings = list(_refusals(model, chosen, card))
    known = published(model) if tensors is None and model.family else tensors
    stages = weights.stages(known or (), model, chosen)
    drafting = draft.model if draft else None
    if draft:
        stages[-1] = replace(stages[-1], weights=stages[-1].weights + _drafting(draft, chosen))
    heaviest = max(stages, key=lambda stage: stage.weights)
    beside = overhead(model, chosen, card)
    room = _room(heaviest.weights, beside, chosen, card)
    needed = tokens = sequences = longest = None
    length = chosen.length or model.context
    if model.family is None:
        findings.append(_unknown(model))
        findings += _nothing_left(room, chosen, card)
    else:
        try:
            divided = min(
                (kv.cache(model, chosen, each.first, each.last, drafting) for each in stages),
                key=lambda each: each.blocks(room.usual),
            )
        except kv.CannotUnify as error:
            findings.append(fault("unsupported-layers", f"vLLM refuses the layers of this model: {error}"))
        else:
            longest = divided.longest(room.usual, model.context)
            length = chosen.length or max(longest, 1)
            needed = divided.needed(length if chosen.length else 1)
            tokens, sequences = divided.tokens(room.usual, length), divided.sequences(room.usual, length)
            findings += _shortage(divided, room, needed, length, chosen, card)
    if draft is None and (service.speculative or {}).get("model"):
        message = "the model that drafts tokens is not counted: what it needs is not known"
        findings.append(warning("may-not-fit", message))
    findings += _share(chosen, beside, heaviest.weights, card, taken)
    if not beside.measured:
        message = f"vLLM {release} was not measured: what it needs beside weights and cache is a wide range"
        findings.append(information("release-not-measured", message))
    return Fit(
        _verdict(findings, model),
        chosen,
        card,
        heaviest.weights if known else None,
        tensors is not None,
        beside,
        room,
        needed,
        length,
        tokens,
        sequences,
        longest,
        findings,
    )


def _drafting(draft: Draft, chosen: Settings) -> int:
    """Return the weights of a model that drafts on one GPU: divided like the model, but without stages."""
    tensors = published(draft.model) if draft.tensors is None else draft.tensors
    return weights.stages(tensors, draft.model, replace(chosen, pipeline=1, drafter=None))[0].weights


def _room(weights_: int, beside: Overhead, chosen: Settings, card: Card) -> Range:
    """Return the bytes for keys and values; fewest first."""
    if chosen.cache is not None:
        return Range(chosen.cache, chosen.cache, chosen.cache)
    share = ceil(card.total * chosen.utilization) - weights_
    taken = beside.taken
    return Range(share - taken.most, share - taken.usual, share - taken.least)


def _verdict(findings: Sequence[Finding], model: Architecture) -> Verdict:
    if any(each.severity == ERROR for each in findings):
        return "does_not_fit"
    if model.family is None or any(each.code == "may-not-fit" for each in findings):
        return "uncertain"
    return "fits"


def gib(count: float) -> str:
    """Return bytes in GiB, as vLLM's log has them."""
    return f"{count / GIB:.2f} GiB"


def _shortage(
    divided: Cache, room: Range, needed: int, length: int, chosen: Settings, card: Card
) -> list[Finding]:
    if nothing := _nothing_left(room, chosen, card):
        return nothing
    sequence = f"one sequence of {length:,} tokens needs {gib(needed)} for keys and values"
    if needed > room.most:
        return [fault("gpu-memory", f"{sequence}, and at most {gib(room.most)} are left")]
    if needed > room.least:
        return [
            warning("may-not-fit", f"{sequence}, and {gib(max(room.least, 0))} to {gib(room.most)} are left")
        ]
    return []


def _nothing_left(room: Range, chosen: Settings, card: Card) -> list[Finding]:
    if room.most > 0:
        return []
    message = (
        f"the weights and what the engine needs leave no memory for keys and values in "
        f"{chosen.utilization:g} of {gib(card.total)}"
    )
    return [fault("gpu-memory", message)]


def _share(chosen: Settings, beside: Overhead, weights_: int, card: Card, taken: int) -> list[Finding]:
    """Say whether what the engine takes of the card is free: its share, and what it takes later."""
    share, free = ceil(card.total * chosen.utilization), card.total - taken
    what = f"gpu_memory_utilization {chosen.utilization:g} asks for {gib(share)} of {gib(card.total)}"
    if share > free - _CONTEXT.least:
        known = f"{gib(free - _CONTEXT.least)} are free when the engine starts"
        return [fault("gpu-memory", f"{what}, but {known}")]
    if share > free - _CONTEXT.most:
        return [warning("may-not-fit", f"{what}, and {gib(free - _CONTEXT.most)} may be free when it starts")]
    held = Range(share, share, share)
    if chosen.cache is not None:
        fixed = weights_ + chosen.cache
        held = beside.taken + Range(fixed, fixed, fixed)
        what = f"with {gib(chosen.cache)} for keys and values the engine takes {gib(held.usual)}"
    later, left = held + beside.beyond, free - _CONTEXT.usual
    if later.least > left:
        return [fault("gpu-memory", f"{what}, and at least {gib(later.least)} in the end, of {gib(left)}")]
    if later.most > left:
        return [warning("may-not-fit", f"{what}, and up to {gib(later.most)} in the end, of {gib(left)}")]
    return []


_CONTEXT = Range(GIB // 10, GIB // 2, GIB)
"""What the CUDA context holds when the engine looks how much is free."""


def _unknown(model: Architecture) -> Finding:
    message = f"the architecture {quoted(model.name)} is not known: what a token takes cannot be computed"
    return warning("shape-not-known", message)


def _refusals(model: Architecture, chosen: Settings, card: Card) -> list[Finding]:
    """Return what vLLM refuses before it looks at memory."""
    found = []
    what = indivisible(model, chosen.tensor, chosen.expert)
    if what:
        ways = ", ".join(map(str, divisors(model, chosen.expert)))
        message = f"{what} cannot be divided among tensor_parallel_size {chosen.tensor}"
        found.append(fault("parallel-size", message, f"use one of {ways}"))
    if chosen.length and chosen.length > model.context:
        message = f"max_model_len {chosen.length:,} is more than the {model.context:,} tokens of the model"
        found.append(fault("context-length", message, f"set max_model_len to {model.context} or less"))
    if chosen.dtype == "bfloat16" and not card.bfloat16:
        message = (
            f"{card.name} (compute capability {card.capability[0]}.{card.capability[1]}) has no bfloat16"
        )
        found.append(fault("gpu-too-old", message, "set dtype: float16"))
    return found
