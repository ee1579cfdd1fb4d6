"""What is foreseen of a service on a GPU, as text and as JSON."""

from __future__ import annotations

import json
from collections.abc import Iterator

from provision.kinds.vllm.memory.cards import GIB
from provision.kinds.vllm.memory.fit import Fit, Verdict
from provision.kinds.vllm.memory.overhead import Range
from provision.project.question import Answer
from provision.show.findings import sentence
from provision.show.jsonl import VERSION
from provision.show.style import BAD, GOOD, OLD, paint
from provision.show.words import count

_WORDS: dict[Verdict, tuple[str, str]] = {
    "fits": ("fits", GOOD),
    "does_not_fit": ("does not fit", BAD),
    "uncertain": ("may not fit", OLD),
}


def lines(name: str, answer: Answer, gpus: int) -> Iterator[str]:
    """Return a table: what takes the memory of each GPU, what is left, and what to change."""
    fit = answer.fit
    words, colour = _WORDS[fit.verdict]
    where = f"{gpus} x {fit.card.name}" if gpus > 1 else fit.card.name
    yield f"{name} on {where} with vLLM {fit.settings.release}: {paint(words, colour)}"
    yield ""
    yield from _table(answer)
    yield ""
    yield from _room(fit)
    for finding in fit.findings:
        yield f"{finding.severity}: {sentence(finding)}"
    if answer.remedies:
        yield "What makes it fit, the smallest change first:"
        for remedy in answer.remedies:
            yield f"  {remedy}" + (
                f"   ({remedy.fit.tokens:,} tokens)" if remedy.fit.tokens is not None else ""
            )


def _table(answer: Answer) -> Iterator[str]:
    fit = answer.fit
    source = "as the model's files list them" if answer.counted else "computed from config.json"
    share = round(fit.card.total * fit.settings.utilization)
    yield "of each GPU                      GiB"
    yield f"  memory                   {fit.card.total / GIB:9.2f}   as the engine sees it"
    if fit.settings.cache is None:
        yield f"  gpu_memory_utilization   {share / GIB:9.2f}   {fit.settings.utilization:g} of it"
    yield f"  weights                  {fit.weights / GIB:9.2f}   {source}"
    yield f"  activation               {_range(fit.overhead.activation)}"
    if fit.settings.graphs:
        counted = "" if fit.overhead.counted else "   after the cache is made"
        yield f"  CUDA graphs              {_range(fit.overhead.graphs)}{counted}"
    yield f"  other                    {_range(fit.overhead.other)}"
    yield f"  left for keys and values {_range(fit.cache)}"
    if fit.needed is not None:
        yield f"  one sequence needs       {fit.needed / GIB:9.2f}   {fit.length:,} tokens"


def _range(found: Range) -> str:
    usual = f"{found.usual / GIB:9.2f}"
    return (
        usual if found.least == found.most else f"{usual}   {found.least / GIB:.2f} to {found.most / GIB:.2f}"
    )


def _room(fit: Fit) -> Iterator[str]:
    if fit.tokens is None or fit.sequences is None:
        return
    if fit.tokens:
        whole = count(int(fit.sequences), "sequence")
        yield f"Room for {fit.tokens:,} tokens: {whole} of {fit.length:,} tokens at once."
    if fit.longest:
        yield f"The longest max_model_len that starts is {fit.longest:,}."


def as_json(answer: Answer) -> str:
    """Return one object; bytes are those of each GPU."""
    fit = answer.fit
    found = {
        "version": VERSION,
        "event": "fit",
        "verdict": fit.verdict,
        "gpu": fit.card.name,
        "gpus": fit.settings.gpus,
        "vllm": str(fit.settings.release),
        "memory_bytes": fit.card.total,
        "weights_bytes": fit.weights,
        "weights_counted": answer.counted,
        "activation_bytes": _bytes(fit.overhead.activation),
        "graphs_bytes": _bytes(fit.overhead.graphs),
        "other_bytes": _bytes(fit.overhead.other),
        "kv_bytes": max(fit.cache.usual, 0),
        "kv_bytes_range": [max(fit.cache.least, 0), max(fit.cache.most, 0)],
        "kv_tokens": fit.tokens,
        "max_model_len": fit.longest,
        "sequences": fit.sequences,
        "needed_bytes": fit.needed,
        "findings": [finding.plain() for finding in fit.findings],
        "remedies": [remedy.fields for remedy in answer.remedies],
    }
    return json.dumps(found, ensure_ascii=False)


def _bytes(found: Range) -> list[int]:
    return [found.least, found.usual, found.most]
