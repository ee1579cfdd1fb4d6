"""The runs as tables for people."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Iterator, Sequence

from .arms import STEPS, Run


def markdown(runs: Sequence[Run], arms: Iterable[str], reference: str) -> str:
    """Return medians over the rounds in Markdown; ratios are of the whole, against `reference`."""
    return "\n".join(_lines(runs, [arm for arm in arms if _of(runs, arm)], reference)) + "\n"


def _lines(runs: Sequence[Run], arms: list[str], reference: str) -> Iterator[str]:
    head = ["", *STEPS, "rest", "all", "ratio", "rounds"]
    yield "| " + " | ".join(head) + " |"
    yield "|---|" + "---:|" * (len(head) - 1)
    base = _median([run.seconds for run in _of(runs, reference)])
    for arm in arms:
        these = _of(runs, arm)
        whole = _median([run.seconds for run in these])
        rest = _median([run.seconds - sum(run.steps.values()) for run in these])
        steps = [f"{_median([run.steps[step] for run in these]):.1f}" for step in STEPS]
        ratio = f"{whole / base:.2f}" if base else ""
        yield "| " + " | ".join([arm, *steps, f"{rest:.1f}", f"{whole:.1f}", ratio, str(len(these))]) + " |"


def _of(runs: Sequence[Run], arm: str) -> list[Run]:
    return [run for run in runs if run.arm == arm]


def _median(values: list[float]) -> float:
    return statistics.median(values) if values else 0.0
