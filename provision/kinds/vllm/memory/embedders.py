"""The tensors of encoders that turn a text into a vector or a score: BERT, RoBERTa and ModernBERT.

From the published checkpoints, and vLLM 0.25.1: `model_executor/models/bert.py`, `roberta.py` and
`modernbert.py`. What these do not load, such as the pooler of an embedding model, is left out.
"""

from __future__ import annotations

from collections.abc import Iterator

from provision.kinds.vllm.memory.architecture import Architecture
from provision.kinds.vllm.memory.matrices import Matrices
from provision.kinds.vllm.memory.parts import Heads
from provision.published.tensors import Tensor

_SCORES = "ForSequenceClassification"


def embedder(model: Architecture, write: Matrices) -> Iterator[Tensor]:
    """Return the tensors of an encoder."""
    hidden, text, plain = model.hidden, model.text, write.plain
    modern = str(text.get("model_type")) == "modernbert"
    yield plain("model.embed_tokens.weight", model.vocabulary, hidden)
    if not modern:
        yield plain("embeddings.position_embeddings.weight", int(text["max_position_embeddings"]), hidden)
        yield plain("embeddings.token_type_embeddings.weight", int(text.get("type_vocab_size") or 1), hidden)
    for index, layer in enumerate(model.layers):
        name = f"encoder.layers.{index}"
        (heads,) = layer.mixers
        assert isinstance(heads, Heads)
        wide = heads.query * heads.size
        for each in ("q_proj", "k_proj", "v_proj"):
            yield from write.linear(f"{name}.attn.{each}", wide, hidden, bias=not modern)
        yield from write.linear(f"{name}.attn.o_proj", hidden, wide, bias=not modern)
        # The feed-forward part of ModernBERT has a gate, and no bias.
        yield from write.linear(
            f"{name}.{_inner(modern)}", (1 + modern) * layer.width, hidden, bias=not modern
        )
        yield from write.linear(f"{name}.mlp.down_proj", hidden, layer.width, bias=not modern)
        yield plain(f"{name}.norms.weight", hidden, count=2 if modern else 4)
    if model.name.endswith(_SCORES):
        yield plain("classifier.dense.weight", hidden, hidden)


def _inner(modern: bool) -> str:
    """Name the matrix that widens; that of ModernBERT is whole on each GPU."""
    return "mlp.Wi.gate" if modern else "mlp.up_proj"
