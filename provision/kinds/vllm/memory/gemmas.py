"""What Gemma 3n and Gemma 4 have beside the matrices that all have: for each layer, a vector for each token.

From the published checkpoints, and vLLM 0.25.1: `model_executor/models/gemma3n.py` and `gemma4.py`.
"""

from __future__ import annotations

from collections.abc import Iterator

from provision.kinds.vllm.memory.matrices import Matrices
from provision.kinds.vllm.memory.parts import Config, whole
from provision.published.tensors import Tensor


def tables(text: Config, layers: int, write: Matrices) -> Iterator[Tensor]:
    """Return the tables of vectors for each layer, and what joins the several streams of Gemma 3n."""
    hidden, each = whole(text, "hidden_size"), whole(text, "hidden_size_per_layer_input")
    rows = whole(text, "vocab_size_per_layer_input", "vocab_size")
    yield write.plain("model.embed_tokens_per_layer.weight", rows, layers * each)
    yield write.plain("model.per_layer_model_projection.weight", layers * each, hidden)
    joints = 2 * (int(text.get("altup_num_inputs") or 1) - 1)
    if joints:
        yield write.plain("model.altup_projections.weight", hidden, hidden, count=joints)


def beside(name: str, text: Config, write: Matrices) -> Iterator[Tensor]:
    """Return what a layer has beside attention and the feed-forward part."""
    hidden, each = whole(text, "hidden_size"), whole(text, "hidden_size_per_layer_input")
    yield from write.linear(f"{name}.per_layer_input_gate", each, hidden)
    yield from write.linear(f"{name}.per_layer_projection", hidden, each)
    yield write.plain(f"{name}.post_per_layer_input_norm.weight", hidden)
    rank = int(text.get("laurel_rank") or 0)
    if rank:
        yield from write.linear(f"{name}.laurel.linear_left", rank, hidden)
        yield from write.linear(f"{name}.laurel.linear_right", hidden, rank)
    streams = int(text.get("altup_num_inputs") or 0)
    if streams:
        yield write.plain(f"{name}.altup.modality_router.weight", streams, hidden)
