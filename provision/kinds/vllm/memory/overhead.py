"""What vLLM needs beside weights and cache: no formula gives it, so it is a range per release.

The engine runs one step with as many tokens as a step may have, and subtracts its peak before it makes the
cache (`v1/worker/gpu_worker.py`, `determine_available_memory`). What that peak grows with is computed; by how
much was measured (`overhead.yml`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml
from packaging.version import Version

from provision.kinds.vllm.memory.architecture import Architecture, Latent
from provision.kinds.vllm.memory.cards import GIB
from provision.kinds.vllm.memory.settings import Settings


@dataclass(frozen=True)
class Range:
    """Bytes that nobody can compute: at least, usually, at most."""

    least: int
    usual: int
    most: int

    def __add__(self, other: Range) -> Range:
        return Range(self.least + other.least, self.usual + other.usual, self.most + other.most)


NOTHING = Range(0, 0, 0)


@dataclass(frozen=True)
class Overhead:
    """What is needed beside weights and cache.

    - `activation`: the peak of a step
    - `graphs`: CUDA graphs; they count against the cache where `counted`
    - `other`: the CUDA context, libraries, and what several GPUs need to work together
    - `measured`: whether these ranges come from starts of this very release
    """

    activation: Range
    graphs: Range
    other: Range
    counted: bool
    measured: bool
    source: str

    @property
    def taken(self) -> Range:
        """What is taken off before the cache is made."""
        return self.activation + self.other + (self.graphs if self.counted else NOTHING)


def overhead(model: Architecture, settings: Settings) -> Overhead:
    """Return the overhead on one GPU."""
    known = _release(settings.release)
    several = settings.tensor * settings.pipeline > 1
    factors = known["experts"] if model.experts else known["activation"]
    other = _gib(known["context"], 1)
    return Overhead(
        activation=_range(factors, _activation(model, settings)) + (_ENCODER if model.vision else NOTHING),
        graphs=_gib(known["graph"], _graphs(settings)) if settings.graphs else NOTHING,
        other=other + _gib(known["parallel"], 1) if several else other,
        counted=known["counted"] and not _second_runner(known["second_runner"], model, settings),
        measured="not measured" not in known["source"],
        source=known["source"],
    )


_ENCODER = Range(0, GIB // 2, 2 * GIB)
"""What trying out an image encoder takes, which no start here has measured."""

_MLP = 6.0
_HIDDEN = 6.5
"""Elements per token in the peak of a step, for each column of the feed-forward part and of the hidden state:
fitted to five dense models on 0.25.1, which they give within 0.02 GiB."""

_LOGITS = 6
"""Bytes of a logit while tokens are chosen: 16 bits, and a copy in 32 (`v1/worker/gpu/sample/sampler.py`)."""

_LATENT_WORKSPACE = 64 * 1024
"""Most tokens whose keys and values MLA decompresses at once (`determine_chunked_prefill_workspace_size`)."""


def _activation(model: Architecture, settings: Settings) -> float:
    """Return the bytes of the peak of one step."""
    width = 4 if settings.dtype == "float32" else 2
    widest = 0.0
    for layer in model.layers:
        inner = _MLP * layer.width / settings.tensor
        if layer.experts:
            used = layer.experts.used / (settings.tensor if settings.expert else 1)
            split = 1 if settings.expert else settings.tensor
            inner = _MLP * used * layer.experts.width / split + _MLP * layer.experts.shared / settings.tensor
            inner += used * model.hidden
        if isinstance(layer.mixer, Latent):
            inner = max(inner, _latent(layer.mixer, settings) / settings.batched)
        widest = max(widest, inner)
    forward = settings.batched * width * (_HIDDEN * model.hidden + widest)
    return max(forward, settings.sequences * model.vocabulary * _LOGITS)


def _latent(mixer: Latent, settings: Settings) -> float:
    """Return the elements that MLA decompresses in a step."""
    length = settings.length or _LATENT_WORKSPACE
    tokens = max(min(8 * length, _LATENT_WORKSPACE), settings.sequences * 16)
    heads = mixer.query / settings.tensor
    return (
        2
        * heads
        * (
            tokens * (mixer.nope + mixer.value)
            + settings.batched * 2 * (mixer.nope + mixer.rope + mixer.value)
        )
    )


def _graphs(settings: Settings) -> int:
    """Return how many CUDA graphs are captured (`config/vllm.py`, `_set_cudagraph_sizes`)."""
    largest = min(2 * settings.sequences, 512, settings.batched)
    return len([1, 2, 4, *range(8, min(largest, 255) + 1, 8), *range(256, largest + 1, 16)])


def _second_runner(which: str | list[str], model: Architecture, settings: Settings) -> bool:
    if settings.drafter not in (None, "mtp", "eagle", "eagle3"):
        return False
    if isinstance(which, list):
        return model.name in which
    if which != "dense":
        return which == "all"
    return not model.hybrid and (not model.experts or model.name in _SECOND_RUNNER_EXPERTS)


_SECOND_RUNNER_EXPERTS = {"DeepseekV2ForCausalLM", "Qwen2MoeForCausalLM", "GraniteMoeForCausalLM"}
"""`DEFAULT_V2_MODEL_RUNNER_ARCHITECTURES` of 0.25.1."""


@cache
def _releases() -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = yaml.safe_load((Path(__file__).parent / "overhead.yml").read_bytes())
    return found


def _release(release: Version) -> dict[str, Any]:
    known = _releases()
    return next((entry for entry in reversed(known) if Version(entry["from"]) <= release), known[0])


def _range(factors: Sequence[float], bytes_: float) -> Range:
    least, usual, most = (round(factor * bytes_) for factor in factors)
    return Range(least, usual, most)


def _gib(gib: Sequence[float], times: int) -> Range:
    return _range(gib, GIB * times)
