"""The memory of the weights on one GPU.

Follows vLLM 0.25.1: `model_executor/layers/linear.py` (what is split over the ranks and what is replicated),
`layers/vocab_parallel_embedding.py` (the vocabulary is padded to 64), `layers/fused_moe/layer.py`,
`distributed/utils.py` (`get_pp_indices`), `layers/attention/mla_attention.py` (what is kept beside
`kv_b_proj`), `layers/rotary_embedding/base.py`, and `lora/layers`.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from math import ceil

from provision.kinds.vllm.memory.architecture import Architecture
from provision.kinds.vllm.memory.parts import Heads, Latent, State
from provision.kinds.vllm.memory.settings import Settings
from provision.published.tensors import BITS, BLOCKS, FLOATS, Tensor

MIB = 2**20

VOCABULARY_PADDING = 64
"""The vocabulary is padded to a multiple of this (`DEFAULT_VOCAB_PADDING_SIZE`)."""

_LAYER = re.compile(r"(?:^|\.)(?:layers|h|blocks)\.(\d+)\.")
_EXPERTS = re.compile(r"\.experts\.")
_REPLICATED = re.compile(
    r"norm|\.gate\.|\.router\.|shared_expert_gate|per_layer_(input_gate|projection)|(q_a|kv_a|fused_qkv_a)_proj"
    r"|indexer|eh_proj|correction_bias|patch_embed|position_embed|(o_proj|down_proj|out_proj)\.bias|\.fc\.weight$"
)
_ENCODERS = re.compile(
    r"vision|visual|audio|multi_modal|vpm\.|apm\.|resampler|img_processor|image|speech|projector|aligner|mlp1\."
    r"|connector|sam_model"
)
"""Names of what encodes images and sound, and of what joins it to the model."""

_SKIPPED = re.compile(r"rotary_emb|^(talker|token2wav|code2wav)\.|\.lora_[AB]\.|^tts\.")
"""Names of what vLLM does not load: what speaks, and adapters within a model."""

_FUSED = (
    (re.compile(r"\.(q|k|v)_proj\."), ".qkv_proj."),
    (re.compile(r"\.(gate|up)_proj\."), ".gate_up_proj."),
    (re.compile(r"\.(w1|w3)\."), ".gate_up_proj."),
)
"""Matrices that vLLM keeps as one."""

_SEGMENT = 20 * MIB
_ROUND = 2 * MIB
"""PyTorch's allocator rounds what is larger than a segment (`c10/cuda/CUDACachingAllocator`)."""


@dataclass(frozen=True)
class Stage:
    """What one GPU of a stage of the pipeline has to hold.

    - `first`, `last`: its layers are from `first` up to, not including, `last`
    - `weights`: bytes
    """

    first: int
    last: int
    weights: int


def stages(tensors: Iterable[Tensor], model: Architecture, settings: Settings) -> list[Stage]:
    """Return what the GPUs of each stage hold; all GPUs of a stage hold the same."""
    bounds = _bounds(len(model.layers), settings.pipeline)
    fused: list[defaultdict[str, float]] = [defaultdict(float) for _ in bounds]
    tensors = list(tensors)
    widest = _widest(tensors)
    for tensor in tensors:
        name = _fused(tensor.name)
        share = _share(tensor, model, settings) * widest.get(name, 1.0) / (_row(tensor) or 1.0)
        for stage in _places(tensor.name, model, bounds, settings):
            fused[stage][name] += share
    return [
        Stage(first, last, sum(map(_allocated, sizes.values())) + _beside(model, settings, first, last))
        for (first, last), sizes in zip(bounds, fused, strict=True)
    ]


def _bounds(layers: int, stages: int) -> list[tuple[int, int]]:
    sizes = [layers // stages] * stages
    for index in range(2, layers % stages + 2):
        sizes[-index] += 1
    ends = [sum(sizes[: index + 1]) for index in range(stages)]
    return list(zip([0, *ends[:-1]], ends, strict=True))


def _places(name: str, model: Architecture, bounds: list[tuple[int, int]], settings: Settings) -> list[int]:
    """Return the stages that load a tensor; none for what vLLM skips."""
    last = len(bounds) - 1
    found = _LAYER.search(name)
    encoding = _ENCODERS.search(name) is not None
    drafting = name.startswith(("mtp.", "model.mtp.")) or (
        found is not None and int(found[1]) >= len(model.layers) and not encoding
    )
    if drafting:
        return [last] if settings.drafter == "mtp" else []
    if _SKIPPED.search(name) or (encoding and not settings.images):
        return []
    if encoding or found is None:
        if "lm_head" in name:
            return [] if model.tied else [last]
        if "embed_tokens" in name or "wte" in name:
            return sorted({0, last}) if model.tied else [0]
        return [last] if name.endswith("norm.weight") else [0]
    layer = int(found[1])
    return [stage for stage, (first, end) in enumerate(bounds) if first <= layer < end]


def _share(tensor: Tensor, model: Architecture, settings: Settings) -> float:
    """Return the bytes of a tensor on one GPU."""
    size = float(_loaded(tensor, settings))
    name = tensor.name
    if model.family and any(part in name for part in model.family.whole):
        return size
    if "embed_tokens" in name or "lm_head" in name:
        rows = tensor.shape[0]
        padded = ceil(rows / VOCABULARY_PADDING) * VOCABULARY_PADDING
        return size * padded / rows / settings.tensor
    if _EXPERTS.search(name):
        # Whole or in parts, experts are spread over all GPUs, those of data parallel copies, too.
        return size * _padding(model, settings) / (settings.tensor * settings.data)
    if _REPLICATED.search(name) or (len(tensor.shape) == 1 and not name.endswith("bias")):
        return size
    if re.search(r"\.(k|v)_proj\.", name) and "vision" not in name:
        kv = next((mixer.kv for mixer in model.mixers if isinstance(mixer, Heads)), settings.tensor)
        return size / min(settings.tensor, kv)
    return size / settings.tensor


_MXFP4_COLUMNS = 64
"""The columns of an expert in mxfp4 are padded to a multiple of this on each GPU (`oracle/mxfp4.py`)."""


def _padding(model: Architecture, settings: Settings) -> float:
    """Return by how much experts grow when each GPU has a part of each."""
    width = next((layer.experts.width for layer in model.layers if layer.experts), 0)
    if settings.expert or not (width and model.quantization and model.quantization.method == "mxfp4"):
        return 1.0
    part = width / settings.tensor
    return ceil(part / _MXFP4_COLUMNS) * _MXFP4_COLUMNS / part


def _loaded(tensor: Tensor, settings: Settings) -> int:
    """Return the bytes of a tensor in the type that it is loaded as."""
    if (
        tensor.dtype not in FLOATS
        or "scale" in tensor.name
        or tensor.name.endswith(("A_log", "correction_bias"))
    ):
        return tensor.bytes
    width = 32 if settings.dtype == "float32" else 16
    if settings.quantization and _quantizable(tensor):
        width = _ONLINE.get(settings.quantization, width)
    return min(tensor.elements * width, tensor.elements * BITS["F32"]) // 8


_ONLINE = {"fp8": 8, "bitsandbytes": 4, "experts_int8": 8, "mxfp8": 8}
"""Bits of a weight that is quantized while it is loaded, by `--quantization`."""


def _quantizable(tensor: Tensor) -> bool:
    kept = ("embed_tokens", "lm_head", "vision", "multi_modal", ".gate.", "conv1d", "router")
    return len(tensor.shape) > 1 and not any(part in tensor.name for part in kept)


def _fused(name: str) -> str:
    for pattern, whole in _FUSED:
        name = pattern.sub(whole, name)
    return name


def _widest(tensors: Iterable[Tensor]) -> dict[str, float]:
    """Return the widest row of what is kept as one matrix in GGUF: its other rows are padded to that width.

    As `_create_padded_weight_param` of `layers/quantization/gguf.py` does, of 0.11.0.
    """
    found: dict[str, float] = {}
    for tensor in tensors:
        row = _row(tensor)
        if row:
            name = _fused(tensor.name)
            found[name] = max(found.get(name, 0.0), row)
    return found


def _row(tensor: Tensor) -> float:
    """Return the bytes of a row of a matrix in a type of GGUF; 0 of all others."""
    return tensor.shape[-1] * tensor.bytes / tensor.elements if tensor.dtype in BLOCKS else 0.0


def _allocated(size: float) -> int:
    whole = ceil(size)
    return whole if whole < _SEGMENT else ceil(whole / _ROUND) * _ROUND


def _beside(model: Architecture, settings: Settings, first: int, last: int) -> int:
    """Return what is kept beside the weights: rotary tables, MLA's decompressing matrix, LoRA's adapters, the
    vectors of images that Qwen3-VL adds in its first layers, and what is there more than once.
    """
    width = 4 if settings.dtype == "float32" else 2
    rotary = model.positions * width
    latent = 0
    for mixer in (each for layer in model.layers[first:last] for each in layer.mixers):
        if isinstance(mixer, Latent):
            kept = mixer.nope + (mixer.value if model.quantization else 0)
            latent += _allocated(mixer.query * kept * mixer.rank * width / settings.tensor)
    deep = len(model.vision.get("deepstack_visual_indexes") or []) if settings.images and first == 0 else 0
    stacked = deep * settings.batched * model.hidden * width
    return (
        rotary
        + latent
        + stacked
        + _repeated(model, settings, first, last)
        + _adapters(model, settings, first, last)
    )


def _repeated(model: Architecture, settings: Settings, first: int, last: int) -> int:
    """Return what a GPU has more of than its share of the files: groups of Mamba 2, of which each GPU needs
    one, values that are a copy of keys (Gemma 4), and a second table of the vocabulary.
    """
    columns = 0
    if model.tied and model.family and model.family.both_tables and last == len(model.layers):
        columns += model.vocabulary // settings.tensor
    for mixer in (each for layer in model.layers[first:last] for each in layer.mixers):
        if isinstance(mixer, State):
            columns += (mixer.channels(settings.tensor) - mixer.channels()) // settings.tensor
        elif isinstance(mixer, Heads) and mixer.alike:
            columns += mixer.kv * mixer.size // min(settings.tensor, mixer.kv)
    return columns * model.hidden * (4 if settings.dtype == "float32" else 2)


def _adapters(model: Architecture, settings: Settings, first: int, last: int) -> int:
    """Return the memory for LoRA: two narrow matrices beside each matrix, for each active adapter."""
    if not settings.adapters:
        return 0
    total = 0.0
    for layer in model.layers[first:last]:
        for mixer in layer.mixers:
            if not isinstance(mixer, Heads):
                continue
            query, kv = mixer.query * mixer.size, mixer.kv * mixer.size
            total += 3 * model.hidden + (query + 2 * kv) / settings.tensor  # q, k, v
            total += query / settings.tensor + model.hidden  # o
        if layer.experts is None:
            total += 2 * model.hidden + 2 * layer.width / settings.tensor  # gate, up
            total += layer.width / settings.tensor + model.hidden  # down
    return int(total * settings.rank * 2) * settings.adapters
