"""The text of `provision fit`: what takes the memory of each GPU, what is left, and what to change."""

from __future__ import annotations

from collections.abc import Iterator

from provision.kinds.common.cards import GIB
from provision.kinds.common.demand import Range, Verdict
from provision.kinds.vllm.memory.fit import Fit as Found
from provision.project.question import Answer
from provision.show.foreseen import Foreseen
from provision.show.items import Item
from provision.show.terminal.findings import sentence
from provision.show.terminal.screen import Screen
from provision.show.terminal.style import BAD, GOOD, OLD, paint
from provision.show.words import count

_WORDS: dict[Verdict, tuple[str, str]] = {
    "fits": ("fits", GOOD),
    "does_not_fit": ("does not fit", BAD),
    "uncertain": ("may not fit", OLD),
}


class Fit(Screen):
    """Shows the arithmetic as a table."""

    def lines(self, item: Item) -> Iterator[str]:
        """Return the table, the findings, and the changes that help."""
        if not isinstance(item, Foreseen):
            return
        fit = item.answer.fit
        words, colour = _WORDS[fit.verdict]
        where = f"{fit.settings.gpus} x {fit.card.name}" if fit.settings.gpus > 1 else fit.card.name
        if item.answer.hosts > 1:
            where += f" on {item.answer.hosts} hosts"
        yield f"{item.model} on {where} with vLLM {fit.settings.release}: {paint(words, colour)}"
        yield ""
        yield from _table(item.answer)
        yield ""
        yield from _room(fit)
        for finding in fit.findings:
            yield f"{finding.severity}: {sentence(finding)}"
        if item.answer.remedies:
            yield "What makes it fit, the smallest change first:"
        elif any(finding.code == "gpu-memory" for finding in fit.findings):
            yield "No change of one field makes it fit: use more GPUs, or larger ones."
        for remedy in item.answer.remedies:
            yield f"  {remedy}   ({remedy.fit.tokens or 0:,} tokens)"


def _table(answer: Answer) -> Iterator[str]:
    fit = answer.fit
    source = "as the model's files list them" if fit.counted else "computed from config.json"
    yield "of each GPU                      GiB"
    yield f"  memory                   {_gib(fit.card.total)}   as the engine sees it"
    if fit.settings.cache is None:
        share = fit.settings.utilization
        yield f"  gpu_memory_utilization   {_gib(fit.card.total * share)}   {share:g} of it"
    if fit.weights is None:
        yield "  weights                          ?"
    else:
        yield f"  weights                  {_gib(fit.weights)}   {source}"
    yield f"  activation               {_range(fit.overhead.activation)}"
    if fit.settings.graphs:
        later = "" if fit.overhead.counted else ", after the cache is made"
        yield f"  CUDA graphs              {_range(fit.overhead.graphs)}{later}"
    yield f"  other                    {_range(fit.overhead.other)}"
    if fit.needed == 0:
        yield "  keys and values               0.00   an encoder keeps none"
        return
    yield f"  left for keys and values {_range(fit.cache) if fit.weights is not None else '        ?'}"
    if fit.needed is not None:
        yield f"  one sequence needs       {_gib(fit.needed)}   {fit.length:,} tokens"


def _gib(count: float) -> str:
    return f"{count / GIB:9.2f}"


def _range(found: Range) -> str:
    if found.least == found.most:
        return _gib(found.usual)
    return f"{_gib(found.usual)}   {found.least / GIB:.2f} to {found.most / GIB:.2f}"


def _room(fit: Found) -> Iterator[str]:
    if fit.tokens and fit.sequences and fit.sequences >= 1:
        whole = count(int(fit.sequences), "sequence")
        yield f"Room for {fit.tokens:,} tokens: {whole} of {fit.length:,} tokens at once."
    if fit.longest:
        yield f"The longest max_model_len that starts is {fit.longest:,}."
