"""What a vLLM service takes of a GPU, and whether it can start there."""

from __future__ import annotations

from functools import partial
from math import ceil
from typing import TYPE_CHECKING

from packaging.version import Version

from provision.engines.vllm import releases
from provision.kinds.common.cards import GIB
from provision.kinds.common.demand import About, Asked, Demand, Range, Verdict
from provision.kinds.vllm.memory import fit as fits
from provision.kinds.vllm.memory.architecture import Architecture, read
from provision.kinds.vllm.memory.capability import too_old
from provision.kinds.vllm.memory.fit import Draft, Fit, foresee
from provision.kinds.vllm.memory.parts import UnknownShape
from provision.kinds.vllm.memory.remedy import remedies
from provision.kinds.vllm.memory.weights import MIB
from provision.kinds.vllm.share import share, utilization
from provision.published.tensors import Tensor
from provision.wire.finding import ERROR, Finding, information

if TYPE_CHECKING:
    from provision.kinds.vllm.fields import VllmService
    from provision.wire.survey import Described

_FIELDS: dict[str, tuple[str, ...]] = {
    "context-length": ("max_model_len",),
    "parallel-size": ("tensor_parallel_size",),
    "dtype-refused": ("dtype",),
    "gpu-too-old": ("dtype", "quantization", "kv_cache_dtype", "model"),
    "gpu-memory": ("max_model_len", "gpu_memory_utilization", "tensor_parallel_size", "gpus", "model"),
    "may-not-fit": ("max_model_len", "gpu_memory_utilization", "tensor_parallel_size", "gpus", "model"),
    "gpu-taken": ("gpu_memory_utilization", "gpus"),
    "flag-not-counted": ("extra_args",),
}
"""By code, the fields that decide, the one to change first; it is `model` for all others."""


def demand(asked: Asked[VllmService]) -> Demand:
    """Foresee one service."""
    release = asked.release or releases.newest()
    said = asked.models.get(asked.service.model)
    try:
        if said is None or said.config is None:
            return _unseen(asked, release, said.trouble if said else None)
        model = read(said.config)
    except UnknownShape as error:
        finding = information("shape-not-known", f"whether it fits is not known: {error}")
        return _unseen(asked, release, None, finding)
    draft = _draft(asked)
    foreseen = partial(
        foresee, model, _tensors(said), card=asked.card, release=release, taken=asked.taken, draft=draft
    )
    fit = foreseen(asked.service)
    if asked.learned:
        return _learned(asked, model, fit)
    changes = remedies(fit, model, asked.service, asked.card, foreseen) if asked.advise else iter(())
    possible = (each for each in changes if each.fields.get("tensor_parallel_size", 1) <= asked.gpus)
    first = next(possible, None)
    about = [_about(each, first.fields if first else {}) for each in fit.findings]
    return Demand(
        fit.verdict,
        _held(asked, model, fit),
        fit.weights,
        max(fit.cache.usual, 0),
        fit.tokens,
        fit.length,
        fit.sequences,
        findings=about,
        steady=_steady(fit, max(fit.cache.usual, 0)),
    )


def _about(finding: Finding, change: dict[str, object]) -> About:
    """Return a finding with the smallest change that helps, and the field to change."""
    fields = _FIELDS.get(finding.code, ("model",))
    if finding.code in ("gpu-memory", "may-not-fit", "gpu-taken") and change:
        said = ", ".join(f"{name}: {value}" for name, value in change.items())
        finding = finding.replace(hint=f"set {said}")
        fields = (*change, *fields)
    elif finding.code == "gpu-memory" and finding.hint is None:
        finding = finding.replace(hint="no change of one field makes it fit: use more GPUs, or larger ones")
    return About(finding, fields)


def _held(asked: Asked[VllmService], model: Architecture, fit: Fit) -> Range:
    """Return what a service holds in the end: less than its share, if its model may need no cache."""
    held = fit.held + BESIDE
    if model.family is not None and (not model.keeps or share(asked.service, asked.release, ()).takes):
        return held
    return Range(min(fit.weights or 0, held.least), held.usual, held.most)


def _learned(asked: Asked[VllmService], model: Architecture, fit: Fit) -> Demand:
    """Return what the engine itself has logged: it has run so, and only others can be in its way now."""
    figures = asked.learned
    assert figures
    found = fits.free(fit.settings.utilization, asked.card, asked.taken) if asked.taken.by else []
    verdict: Verdict = "fits"
    if found:
        verdict = "does_not_fit" if found[0].severity == ERROR else "uncertain"
    return Demand(
        verdict,
        _held(asked, model, fit),
        figures.weights,
        figures.cache,
        figures.tokens,
        figures.length,
        figures.sequences,
        learned=True,
        findings=[_about(each, _smaller(asked)) for each in found],
        steady=_steady(fit, figures.cache or 0),
    )


FIXED_FROM = Version("0.10.2")
"""The first release that takes the size of the cache in bytes."""


def _steady(fit: Fit, cache: int) -> str | None:
    """Say how the cache gets the size that is foreseen, whatever other processes do during the start."""
    if fit.settings.cache is not None or fit.settings.release < FIXED_FROM or not (cache and fit.tokens):
        return None
    return f"to fix its size, add --kv-cache-memory-bytes={cache // MIB * MIB} to extra_args"


def _unseen(
    asked: Asked[VllmService], release: Version, trouble: str | None, finding: Finding | None = None
) -> Demand:
    """Return what is foreseen of a service whose model is not known: its share, and what the GPU lacks."""
    service, card = asked.service, asked.card
    part = utilization(service, release)
    wanted = ceil(card.total * part)
    takes = ceil(card.total * share(service, release, ()).takes)
    found = [
        *too_old(card, service.dtype or "auto", service.quantization, service.kv_cache_dtype or "auto"),
        *fits.free(part, card, asked.taken),
    ]
    if trouble:
        finding = information("shape-not-known", f"whether it fits is not known: {trouble}")
    impossible = any(each.severity == ERROR for each in found)
    return Demand(
        "does_not_fit" if impossible else "uncertain",
        Range(max(takes - _UNSURE, 0), wanted + BESIDE.usual, wanted + _UNSURE),
        findings=[_about(each, _smaller(asked)) for each in [*found, *([finding] if finding else [])]],
    )


def _smaller(asked: Asked[VllmService]) -> dict[str, object]:
    """Return the largest share that others surely leave; nothing where they leave too little."""
    ways = (percent / 100 for percent in range(95, 5, -5))
    part = next((each for each in ways if not fits.free(each, asked.card, asked.taken)), None)
    return {"gpu_memory_utilization": part} if part else {}


BESIDE = Range(GIB // 2, round(1.2 * GIB), round(2.4 * GIB))
"""What the processes of a service hold that its engine does not count: what nvidia-smi showed after 41 starts
(`tests/gpu/records`), less what is computed, was 0.8 GiB at least and 2.2 GiB at most.
"""

_UNSURE = 4 * GIB
"""By how much an engine may be off its share, where the model is not known."""


def _draft(asked: Asked[VllmService]) -> Draft | None:
    named = (asked.service.speculative or {}).get("model")
    said = asked.models.get(named) if named else None
    if said is None or said.config is None:
        return None
    try:
        return Draft(read(said.config), _tensors(said))
    except UnknownShape:
        return None


def _tensors(said: Described) -> list[Tensor] | None:
    if said.tensors is None:
        return None
    return [Tensor(name, dtype, tuple(shape), count) for name, dtype, shape, count in said.tensors]
