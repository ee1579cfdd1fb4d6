"""What vLLM needs beside weights and cache: no formula gives it, so it is a range per release.

The engine runs one step with as many tokens as a step may have, and subtracts its peak before it makes the
cache (`v1/worker/gpu_worker.py`, `determine_available_memory`). What that peak grows with is computed; by how
much was measured (`overhead.yml`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import yaml
from packaging.version import Version

from provision.kinds.common.cards import GIB, Card
from provision.kinds.common.demand import NOTHING, Range
from provision.kinds.vllm.memory.architecture import Architecture
from provision.kinds.vllm.memory.parts import Experts, Latent, Layer, State
from provision.kinds.vllm.memory.settings import Settings
from provision.kinds.vllm.memory.trial import tried


@dataclass(frozen=True)
class Overhead:
    """What is needed beside weights and cache.

    - `activation`: the peak of a step
    - `graphs`: CUDA graphs; they count against the cache where `counted`
    - `other`: the CUDA context, libraries, and what several GPUs need to work together
    - `beyond`: what is taken beyond the engine's share of the card once the cache is made; at least less than
      nothing, as the memory of the peak of a step is free again
    - `measured`: whether these ranges come from starts of this very release
    """

    activation: Range
    graphs: Range
    other: Range
    beyond: Range
    counted: bool
    measured: bool

    @property
    def taken(self) -> Range:
        """What is taken off before the cache is made."""
        return self.activation + self.other + (self.graphs if self.counted else NOTHING)


def overhead(model: Architecture, settings: Settings, card: Card) -> Overhead:
    """Return the overhead on one GPU."""
    known = _release(settings.release)
    second = _second_runner(known["second_runner"], model, settings)
    factors = known["experts"] if model.experts else known["activation"]
    if not settings.batched_set:
        factors = known.get("cards", {}).get(card.name, factors)
    logits = settings.sequences * _scores(model)
    peak = (
        _forward(model, settings)
        if second
        else max(_forward(model, settings), _first_sampler(model, settings))
    )
    activation = tried(model, settings, _range(factors, max(peak, logits * _LOGITS)), second)
    graphs = _gib(known["graph"], _graphs(model, settings)) if settings.graphs else NOTHING
    if not model.keeps:
        graphs = replace(graphs, least=0)
    other = _gib(known["context"], 1)
    several = settings.tensor * settings.pipeline > 1
    counted = known["counted"] and not second
    beyond = _beyond(activation, NOTHING if counted else graphs, logits if second else 0)
    if not second and any(isinstance(each, State) for each in model.mixers):
        beyond += _STATES
    return Overhead(
        activation=activation,
        graphs=graphs,
        other=other + _gib(known["parallel"], 1) if several else other,
        beyond=beyond,
        counted=counted,
        measured="not measured" not in known["source"],
    )


_MLP = 3.0
_HIDDEN = 3.0
"""Elements per token in the peak of a step, for each column of the feed-forward part (gate, up, and their
product) and of the hidden state."""

_LOGITS = 6
"""Bytes of a logit while the second runner tries a step: 16 bits, and a copy in 32."""

_LOGITS_FIRST = 14
"""The same of the first runner, which tries top-k and top-p as well (`_dummy_sampler_run`)."""

_LOGITS_DRAFTED = 30
"""The same with drafted tokens, whose logits are copied (`v1/sample/rejection_sampler.py`)."""

_LOGITS_WARM = (13, 18, 21)
"""Bytes of a logit when the second runner warms its kernels up, which is after it has made the cache."""

_STATES = Range(0, 0, GIB // 2)
"""What models with states hold more under the first runner once they have warmed up: Nemotron-H was 0.13 GiB
beyond what is computed without it, Falcon-H1 was not (0.25.1 on an H100, tests/gpu/records).
"""

_LATENT_WORKSPACE = 64 * 1024
"""Most tokens whose keys and values MLA decompresses at once (`determine_chunked_prefill_workspace_size`)."""

_LATENT_SHARE = 0.8
"""How much of that workspace is there at the peak."""


def _beyond(activation: Range, graphs: Range, logits: int) -> Range:
    """Return what is taken beyond the share: the memory of the peak of a step is free again by then."""
    warm = [count * logits for count in _LOGITS_WARM]
    return Range(
        warm[0] + graphs.least - activation.most,
        max(0, warm[1] + graphs.usual - activation.usual),
        max(0, warm[2] + round(1.25 * graphs.usual) - activation.usual),
    )


def _forward(model: Architecture, settings: Settings) -> float:
    """Return the bytes of the peak of one step through the layers."""
    width = 4 if settings.dtype == "float32" else 2
    widest = max(_inner(layer, model, settings) for layer in model.layers)
    latents = [_latent(each, settings) for each in model.mixers if isinstance(each, Latent)]
    latent = max(latents, default=0)
    return width * (settings.batched * (_HIDDEN * model.hidden + widest) + latent)


def _inner(layer: Layer, model: Architecture, settings: Settings) -> float:
    """Return the elements per token of the feed-forward part of a layer, else of its state."""
    if layer.experts is None and not layer.width:
        states = [mixer.values for mixer in layer.mixers if isinstance(mixer, State)]
        return _MLP * max(states, default=0) / settings.tensor
    if layer.experts is None:
        return _MLP * layer.width / settings.tensor
    return _workspace(layer.experts, model, settings) + _MLP * layer.experts.shared / settings.tensor


def _workspace(experts: Experts, model: Architecture, settings: Settings) -> float:
    """Return the elements per token of the two buffers in which the kernels of experts work.

    As `workspace_shapes` of `fused_moe/experts/triton_moe.py` and `gpt_oss_triton_kernels_moe.py` say.
    """
    ranks = settings.tensor * settings.data
    width = experts.width if settings.expert else experts.width / ranks
    used = experts.used / ranks if settings.expert else experts.used
    if model.quantization and model.quantization.method == "mxfp4":
        return model.hidden + used * width
    return used * (max(width, model.hidden) + max(2 * width, model.hidden))


def _first_sampler(model: Architecture, settings: Settings) -> float:
    """Return the bytes of the peak of the first runner's sampler, while the buffers of experts are kept."""
    held = max(
        (_workspace(each.experts, model, settings) for each in model.layers if each.experts), default=0
    )
    logit = _LOGITS_DRAFTED if settings.drafter else _LOGITS_FIRST
    return settings.sequences * _scores(model) * logit + 2 * settings.batched * held


def _scores(model: Architecture) -> int:
    """Return the numbers that the output has for each sequence: an encoder of texts gives no next token."""
    return model.vocabulary if model.keeps else 0


def _latent(mixer: Latent, settings: Settings) -> float:
    """Return the elements that MLA decompresses in a step."""
    length = settings.length or _LATENT_WORKSPACE
    tokens = max(min(8 * length, _LATENT_WORKSPACE), settings.sequences * 16)
    return _LATENT_SHARE * tokens * mixer.query / settings.tensor * (mixer.nope + mixer.value)


def _graphs(model: Architecture, settings: Settings) -> int:
    """Return how many CUDA graphs are captured (`config/vllm.py`, `_set_cudagraph_sizes`).

    Each size is captured in pieces, and whole where a step decodes one token of as many sequences.
    """
    most = 1024 if model.name == "GptOssForCausalLM" else 512
    largest = min(2 * settings.sequences, most, settings.batched)
    sizes = [1, 2, 4, *range(8, min(largest, 255) + 1, 8), *range(256, largest + 1, 16)]
    whole = [size for size in sizes if size <= settings.sequences]
    return len(sizes) + len(whole)


def _second_runner(which: str | list[str], model: Architecture, settings: Settings) -> bool:
    if not model.keeps:
        return False  # it is for models that generate
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
