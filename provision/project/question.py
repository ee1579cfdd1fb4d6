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
from provision.kinds.vllm import nodes
from provision.kinds.vllm.fields import VllmService
from provision.kinds.vllm.launch import refusals
from provision.kinds.vllm.memory.architecture import Architecture, read
from provision.kinds.vllm.memory.fit import Draft, Fit, foresee
from provision.kinds.vllm.memory.parts import UnknownShape
from provision.kinds.vllm.memory.remedy import Remedy, remedies
from provision.project.described import Described, described


@dataclass(frozen=True)
class Gpus:
    """Some GPUs of one kind on each of some hosts."""

    count: int
    card: Card
    hosts: int = 1


@dataclass(frozen=True)
class Answer:
    """What is foreseen, and the changes that would make it fit."""

    model: Architecture
    hosts: int
    fit: Fit
    remedies: list[Remedy]


def gpus(text: str, hosts: int = 1) -> Gpus:
    """Read GPUs such as H100 or 2xH200, which each of some hosts has.

    Raises:
        ConfigError: no such GPU is known.
    """
    count, name = counted(text)
    known = card(name)
    if known is None or count < 1:
        hint = did_you_mean(name, cards()) or f"known: {', '.join(cards())}"
        raise failure("unknown-gpu", f"no GPU {quoted(name)} is known", hint=hint)
    return Gpus(count, known, hosts)


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

    On several hosts it is then tensor parallel over the GPUs of each, and pipeline parallel over the hosts.

    Raises:
        ConfigError: a field does not exist, cannot have its value, or is nothing that the release can do.
    """
    fields = parse_extra(assignments)
    data: dict[str, Any] = {"kind": "vllm", "environment": "vllm", "model": "model", **fields}
    sizes = ("tensor_parallel_size", "pipeline_parallel_size", "data_parallel_size")
    if not any(name in fields for name in sizes):
        spread = zip(sizes, (chosen.count, chosen.hosts), strict=False)
        data.update({name: size for name, size in spread if size > 1})
    problems: list[Problem] = []
    found = validate(VllmService, data, lambda loc, key: None, problems)
    if found is None:
        raise ConfigError(problems)
    uneven = nodes.unequal(found, chosen.hosts)
    if uneven is not None:
        raise failure("gpu-count", uneven[0], hint=uneven[1])
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
    each = fit.settings.gpus // chosen.hosts
    if each > chosen.count:
        needed = f"the parallel sizes need {each} GPUs{' on each host' if chosen.hosts > 1 else ''}"
        message = f"{needed}, and --gpu names {chosen.count}"
        raise failure("gpu-count", message, hint=f"write --gpu {each}x{chosen.card.name}")
    return Answer(model, chosen.hosts, fit, list(remedies(fit, model, asked, chosen.card, foreseen)))


def _shape(found: Described) -> Architecture:
    try:
        return read(found.config)
    except UnknownShape as error:
        raise failure("shape-not-known", f"{found.source}: {error}") from None
