"""What `provision fit` asks: a model, GPUs, a release and fields, from the words of a command line."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial
from typing import Any

from packaging.version import InvalidVersion, Version

from provision.config.problems import ConfigError, Problem, did_you_mean, failure, quoted
from provision.config.validation import validate
from provision.config.variables import parse_extra
from provision.engines.vllm import releases
from provision.kinds.common.cards import Card, card, cards, counted
from provision.kinds.vllm.fields import VllmService
from provision.kinds.vllm.launch import refusals
from provision.kinds.vllm.memory.architecture import Architecture, read
from provision.kinds.vllm.memory.fit import Draft, Fit, foresee
from provision.kinds.vllm.memory.parts import UnknownShape
from provision.kinds.vllm.memory.remedy import Remedy, remedies
from provision.project.described import Described, described


@dataclass(frozen=True)
class Gpus:
    """Some GPUs of one kind."""

    count: int
    card: Card


@dataclass(frozen=True)
class Answer:
    """What is foreseen, and the changes that would make it fit."""

    model: Architecture
    fit: Fit
    remedies: list[Remedy]


def gpus(text: str) -> Gpus:
    """Read GPUs such as H100 or 2xH200.

    Raises:
        ConfigError: no such GPU is known.
    """
    count, name = counted(text)
    known = card(name)
    if known is None or count < 1:
        hint = did_you_mean(name, cards()) or f"known: {', '.join(cards())}"
        raise failure("unknown-gpu", f"no GPU {quoted(name)} is known", hint=hint)
    return Gpus(count, known)


def release(text: str | None) -> Version:
    """Read a release of vLLM; the newest known one when none is given.

    Raises:
        ConfigError: it is no version.
    """
    if text is None:
        return releases.newest()
    try:
        return Version(text)
    except InvalidVersion:
        raise failure(
            "wrong-usage", f"--vllm {quoted(text)} is no version", hint="write it such as 0.25.1"
        ) from None


def service(assignments: Iterable[str], chosen: Gpus, version: Version) -> VllmService:
    """Return the service whose fields `--set NAME=VALUE` gives; it uses all GPUs unless it says otherwise.

    Raises:
        ConfigError: a field does not exist, cannot have its value, or is nothing that the release can do.
    """
    fields = parse_extra(assignments)
    data: dict[str, Any] = {"kind": "vllm", "environment": "vllm", "model": "model", **fields}
    sizes = ("tensor_parallel_size", "pipeline_parallel_size", "data_parallel_size")
    if chosen.count > 1 and not any(name in fields for name in sizes):
        data["tensor_parallel_size"] = chosen.count
    problems: list[Problem] = []
    found = validate(VllmService, data, lambda loc, key: None, problems)
    if found is None:
        raise ConfigError(problems)
    refused = refusals(found, version)
    if refused:
        raise ConfigError(Problem(each.code, None, each.message, each.hint) for each in refused)
    return found


def answer(found: Described, asked: VllmService, chosen: Gpus, version: Version) -> Answer:
    """Say whether a model runs.

    Raises:
        ConfigError: the shape of the model, or of the one that drafts for it, cannot be read, or the service
            needs more GPUs than there are.
    """
    model = _shape(found)
    named = (asked.speculative or {}).get("model")
    drafting = described(named) if named else None
    draft = Draft(_shape(drafting), drafting.tensors) if drafting else None
    foreseen = partial(foresee, model, found.tensors, card=chosen.card, release=version, draft=draft)
    fit = foreseen(asked)
    if fit.settings.gpus > chosen.count:
        needed = f"the parallel sizes need {fit.settings.gpus} GPUs, and --gpu names {chosen.count}"
        raise failure("gpu-count", needed, hint=f"write --gpu {fit.settings.gpus}x{chosen.card.name}")
    return Answer(model, fit, list(remedies(fit, model, asked, chosen.card, foreseen)))


def _shape(found: Described) -> Architecture:
    try:
        return read(found.config)
    except UnknownShape as error:
        raise failure("shape-not-known", f"{found.source}: {error}") from None
