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

from packaging.version import Version

from provision.config.problems import quoted
from provision.kinds.common.cards import GIB, Card, gib
from provision.kinds.common.demand import NOBODY, Range, Taken, Verdict
from provision.kinds.vllm.fields import VllmService
from provision.kinds.vllm.memory import kv, uncounted, weights
from provision.kinds.vllm.memory.architecture import Architecture
from provision.kinds.vllm.memory.kv import Cache
from provision.kinds.vllm.memory.overhead import Overhead, overhead
from provision.kinds.vllm.memory.published import published
from provision.kinds.vllm.memory.refusals import refusals
from provision.kinds.vllm.memory.settings import Settings, settings
from provision.kinds.vllm.memory.support import support
from provision.published.tensors import Tensor, size
from provision.wire.finding import ERROR, WARNING, Finding, fault, information, warning


@dataclass(frozen=True)
class Fit:
    """What is foreseen of a service, on each of its GPUs; of several stages, the one with the least room.

    - `weights`: bytes; None when neither files nor a known family tell
    - `counted`: the files list the weights; else they are computed
    - `files`: bytes of the whole model's files, with what is not loaded; None as for `weights`
    - `overhead`: what is needed beside weights and cache
    - `cache`: bytes for keys and values
    - `needed`: the bytes of these that one sequence of `length` tokens takes
    - `tokens`: that the cache has room for; None where provision does not know the layers
    - `sequences`: of `length` tokens that it has room for at once
    - `longest`: the longest `max_model_len` that starts, in tokens
    - `held`: bytes that the engine holds in the end
    """

    verdict: Verdict
    settings: Settings
    card: Card
    weights: int | None
    counted: bool
    files: int | None
    overhead: Overhead
    cache: Range
    needed: int | None
    length: int
    tokens: int | None
    sequences: float | None
    longest: int | None
    held: Range
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
    taken: Taken = NOBODY,
    draft: Draft | None = None,
) -> Fit:
    """Say whether a service starts.

    Args:
        model: the shape of its model.
        tensors: the weights of the model as its files list them; None when these are not at hand.
        service: its fields.
        card: the GPUs that it runs on, all alike.
        release: vLLM's.
        taken: what others hold of each card when it starts.
        draft: the model that `speculative` names.
    """
    chosen = settings(service, model, card, release)
    if model.family and not model.keeps:
        # The engine makes no cache then, and takes no share of the card (`v1/engine/core.py`).
        chosen = replace(chosen, cache=0)
    findings = [*support(model, release, bool(service.trust_remote_code)), *refusals(model, chosen, card)]
    computable = model.family is not None and not model.family.listed
    known = published(model) if tensors is None and computable else tensors
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
    elif known is None:
        findings.append(_unlisted(model))
        findings += _nothing_left(room, chosen, card)
    elif not model.keeps:
        longest, needed = model.context, 0
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
    held = _held(chosen, beside, heaviest.weights, card)
    findings += free(chosen.utilization, card, taken) or _later(held, chosen, card, taken)
    if not beside.measured:
        message = f"vLLM {release} was not measured: what it needs beside weights and cache is a wide range"
        findings.append(information("release-not-measured", message))
    findings = list(uncounted.judged(findings, service))
    return Fit(
        _verdict(findings, model),
        chosen,
        card,
        heaviest.weights if known else None,
        tensors is not None,
        size(known) if known else None,
        beside,
        room,
        needed,
        length,
        tokens,
        sequences,
        longest,
        held,
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
    if model.family is None or any(each.severity == WARNING for each in findings):
        return "uncertain"
    return "fits"


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
    if room.most > 0 or chosen.cache == 0:
        return []
    message = (
        f"the weights and what the engine needs leave no memory for keys and values in "
        f"{chosen.utilization:g} of {gib(card.total)}"
    )
    return [fault("gpu-memory", message)]


def share(part: float, card: Card) -> int:
    """Return the bytes of a card that must be free when the engine starts, by its utilization."""
    return ceil(card.total * part)


def _held(chosen: Settings, beside: Overhead, weights_: int, card: Card) -> Range:
    """Return what the engine holds in the end: its share, or what a fixed cache makes of it, and more."""
    if chosen.cache is None:
        return Range.exactly(share(chosen.utilization, card)) + beside.beyond
    return beside.taken + beside.beyond + Range.exactly(weights_ + chosen.cache)


def free(part: float, card: Card, taken: Taken) -> list[Finding]:
    """Say whether the part of the card that the engine asks for is free when it starts.

    vLLM refuses to start otherwise, also with a cache of a fixed size.
    """
    wanted = share(part, card)
    most = card.total - taken.bytes.least - _CONTEXT.least
    least = card.total - taken.bytes.most - _CONTEXT.most
    if wanted <= least:
        return []
    message = f"gpu_memory_utilization {part:g} asks for {gib(wanted)} of {gib(card.total)}"
    others = bool(taken.by) and wanted <= card.total - _CONTEXT.least
    why = f": {taken.by}" if others else ""
    if wanted > most:
        code = "gpu-taken" if others else "gpu-memory"
        return [fault(code, f"{message}, but at most {gib(max(most, 0))} are free when it starts{why}")]
    code = "gpu-taken" if others else "may-not-fit"
    left = f"{gib(max(least, 0))} to {gib(most)} may be free when it starts{why}"
    return [warning(code, f"{message}, and {left}")]


def _later(held: Range, chosen: Settings, card: Card, taken: Taken) -> list[Finding]:
    """Say whether there is room for what the engine takes once it has made its cache."""
    left = card.total - _CONTEXT.usual
    least, most = held.least + taken.bytes.least, held.most + taken.bytes.most
    others = f", and {taken.by}" if taken.by else ""
    room = f"the card has {gib(left)}"
    if least > left:
        message = f"once it runs, the engine holds at least {gib(held.least)}{others}, but {room}"
        return [fault("gpu-taken" if taken.by else "gpu-memory", message)]
    if most > left:
        message = f"once it runs, the engine may hold up to {gib(held.most)}{others}, and {room}"
        return [warning("gpu-taken" if taken.by else "may-not-fit", message)]
    return []


_CONTEXT = Range(GIB // 10, GIB // 2, GIB)
"""What the CUDA context holds when the engine looks how much is free."""


def _unknown(model: Architecture) -> Finding:
    message = f"the architecture {quoted(model.name)} is not known: what a token takes cannot be computed"
    return warning("shape-not-known", message)


def _unlisted(model: Architecture) -> Finding:
    message = f"how large the weights of {model.name} are only its files tell, and these are not all there"
    return warning("weights-not-known", message)
