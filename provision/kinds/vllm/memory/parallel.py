"""What cannot be divided among the GPUs of a service.

Follows vLLM 0.25.1: `config/model.py` (`verify_with_parallel_config`), `model_executor/layers/linear.py`
(`QKVParallelLinear`), and `layers/quantization` (`fp8.py`, `utils/fp8_utils.py`, `awq.py`, `gptq.py`).
"""

from __future__ import annotations

from collections.abc import Iterator

from provision.kinds.vllm.memory.architecture import Architecture
from provision.kinds.vllm.memory.parts import Experts, Heads, Latent, Layer
from provision.kinds.vllm.memory.quantization import Quantization

MOST = 16
"""The largest `tensor_parallel_size` that is proposed."""


def indivisible(model: Architecture, size: int, expert: bool) -> str | None:
    """Say what of a model cannot be divided among `tensor_parallel_size` GPUs; None when all can.

    Args:
        model: its shape.
        size: `tensor_parallel_size`.
        expert: whole experts are spread over the GPUs, so that none is divided.
    """
    if size == 1:
        return None
    for layer in dict.fromkeys(model.layers):
        for count, what, parts in _divided(layer, model.quantization, expert):
            if count % (size * parts):
                groups = f" in groups of {parts}" if parts > 1 else ""
                return f"the {count:,} {what}{groups}"
        for mixer in layer.mixers:
            if isinstance(mixer, Heads) and mixer.kv % size and size % mixer.kv:
                return f"the {mixer.kv} heads of keys and values"
    return None


def divisors(model: Architecture, expert: bool) -> list[int]:
    """Return the sizes that divide a model."""
    return [size for size in range(1, MOST + 1) if indivisible(model, size, expert) is None]


_Counts = Iterator[tuple[int, str, int]]
"""What has to be divided: how much of it, its name, and how much of it stays together."""


def _divided(layer: Layer, method: Quantization | None, expert: bool) -> _Counts:
    for mixer in layer.mixers:
        if isinstance(mixer, (Heads, Latent)):
            yield mixer.query, "attention heads", 1
        else:
            yield mixer.heads, "heads of its state", 1
    if isinstance(layer.experts, Experts):
        if not expert:
            yield layer.experts.width, "columns of an expert", _block(method)
        yield layer.experts.shared, "columns of the shared expert", max(_block(method), _group(method))
    else:
        yield layer.width, "columns of the feed-forward part", max(_block(method), _group(method))


def _block(method: Quantization | None) -> int:
    """Return the columns that share a scale in fp8; experts of other methods are padded."""
    return method.block[1] if method and method.block and not method.leaves("model.layers.0.mlp") else 1


def _group(method: Quantization | None) -> int:
    """Return the columns that share a scale in awq and gptq."""
    grouped = method and method.method.startswith(("awq", "gptq")) and not method.leaves("model.layers.0.mlp")
    return (method.group or 1) if method and grouped else 1
