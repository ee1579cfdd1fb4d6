"""Writes the tables of docs/fit.md: what is foreseen beside what the engine logged, and the known GPUs.

`python -m tests.gpu.accuracy` renews them when a file in `records/`, a formula, a range or a GPU has changed.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from provision.kinds.common.cards import GIB, cards
from tests.gpu.starts import Start, starts

PAGE = Path(__file__).resolve().parents[2] / "docs" / "fit.md"
END = "<!-- end -->"

WORDS = {"fits": "fits", "does_not_fit": "does not fit", "uncertain": "may not fit"}
STARTED = {True: "yes", False: "no", None: "ended before"}
SHORT = {
    "gpu_memory_utilization": "utilization",
    "tensor_parallel_size": "tp",
    "pipeline_parallel_size": "pp",
    "max_model_len": "length",
    "max_num_seqs": "seqs",
    "max_num_batched_tokens": "batched",
    "enforce_eager": "eager",
    "kv_cache_dtype": "cache",
}


def renewed(page: str) -> str:
    """Return the page with today's tables."""
    for begin, lines in (("<!-- accuracy -->\n", table(list(starts()))), ("<!-- gpus -->\n", gpus())):
        before, mark, rest = page.partition(begin)
        page = before + mark + "".join(f"{line}\n" for line in lines) + END + rest.partition(END)[2]
    return page


def gpus() -> Iterator[str]:
    """Return the table of the known GPUs."""
    yield "| GPU | GiB | compute capability | bfloat16 | fp8 | source |"
    yield "|---|---|---|---|---|---|"
    for name, each in cards().items():
        capability = ".".join(map(str, each.capability))
        can = ["yes" if able else "no" for able in (each.bfloat16, each.float8)]
        yield f"| {name} | {each.total / GIB:.2f} | {capability} | {can[0]} | {can[1]} | {each.source} |"


def table(found: Sequence[Start]) -> Iterator[str]:
    """Return the table, and a sentence that sums it up."""
    real = {True: "fits", False: "does_not_fit"}
    ended = [start for start in found if start.run["started"] is not None]
    right = sum(start.fit.verdict == real[start.run["started"]] for start in ended)
    unsure = sum(start.fit.verdict == "uncertain" for start in ended)
    wrong = len(ended) - right - unsure
    weights, cache = (_worst(found, key) for key in ("model_loading_gib", "available_kv_cache_gib"))
    yield f"Of {len(ended)} starts {right} are foreseen right, {unsure} may not fit, and {wrong} are wrong."
    yield f"Weights are off by {weights}; memory for keys and values by {cache}."
    yield ""
    yield "| vLLM | GPU | model | fields | weights GiB | keys and values GiB | tokens | foreseen | started |"
    yield "|---|---|---|---|---|---|---|---|---|"
    for start in found:
        run = start.run
        kv = _pair(start.fit.cache.usual / GIB, run["available_kv_cache_gib"])
        yield (
            f"| {start.release} | {start.gpu} | {run['model']} | {_fields(run['args'])} "
            f"| {_pair((start.fit.weights or 0) / GIB, run['model_loading_gib'])} | {kv} "
            f"| {_pair(start.fit.tokens, run.get('kv_cache_tokens'))} "
            f"| {WORDS[start.fit.verdict]} | {STARTED[run['started']]} |"
        )


def _worst(found: Sequence[Start], key: str) -> str:
    """Return the mean and the largest difference, in percent, of the starts that logged a number."""
    logged = [start for start in found if start.run["started"] is not False and start.run[key]]
    pairs = [(_foreseen(start, key), start.run[key]) for start in logged]
    off = [abs(foreseen / real - 1) * 100 for foreseen, real in pairs]
    return f"{sum(off) / len(off):.2f} % on average, {max(off):.2f} % at most"


def _foreseen(start: Start, key: str) -> float:
    return ((start.fit.weights or 0) if key == "model_loading_gib" else start.fit.cache.usual) / GIB


def _pair(foreseen: float | None, real: float | None) -> str:
    """Return what is foreseen, and what was logged."""
    return f"{_number(foreseen)} / {_number(real)}"


def _number(value: float | None) -> str:
    if value is None:
        return "–"
    return f"{value:,}" if isinstance(value, int) else f"{value:.2f}"


def _fields(args: dict[str, object]) -> str:
    return ", ".join(_field(name, value) for name, value in args.items())


def _field(name: str, value: object) -> str:
    if value is True:
        return SHORT.get(name, name)
    if name == "extra_args" and isinstance(value, list):
        return " ".join(map(str, value))
    if name == "speculative" and isinstance(value, dict):
        return f"drafts by {value['method']}, {value['num_speculative_tokens']} at a time"
    return f"{SHORT.get(name, name)} {value}"


if __name__ == "__main__":
    PAGE.write_text(renewed(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
