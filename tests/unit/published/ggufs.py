"""Writes the beginnings of GGUF files, with no data behind them."""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence

from provision.published.gguf import TYPES

NUMBERS = {name: number for number, name in TYPES.items()}


def text(value: str) -> bytes:
    return struct.pack("<Q", len(value.encode())) + value.encode()


def value(of: str | int | float | list[str]) -> bytes:
    if isinstance(of, str):
        return struct.pack("<I", 8) + text(of)
    if isinstance(of, list):
        return struct.pack("<IIQ", 9, 8, len(of)) + b"".join(map(text, of))
    return struct.pack("<If", 6, of) if isinstance(of, float) else struct.pack("<II", 4, of)


def gguf(
    metadata: Mapping[str, str | int | float | list[str]],
    tensors: Mapping[str, tuple[str, Sequence[int]]],
    version: int = 3,
) -> bytes:
    """Return the beginning of a file: tensors are type and shape, rows first, by name."""
    head = b"GGUF" + struct.pack("<IQQ", version, len(tensors), len(metadata))
    pairs = b"".join(text(name) + value(each) for name, each in metadata.items())
    infos = b"".join(
        text(name)
        + struct.pack(f"<I{len(shape)}Q", len(shape), *reversed(shape))
        + struct.pack("<IQ", NUMBERS[kind], 0)
        for name, (kind, shape) in tensors.items()
    )
    return head + pairs + infos


METADATA: dict[str, str | int | float | list[str]] = {
    "general.architecture": "qwen2",
    "qwen2.block_count": 1,
    "qwen2.context_length": 32768,
    "qwen2.embedding_length": 1024,
    "qwen2.feed_forward_length": 4096,
    "qwen2.attention.head_count": 16,
    "qwen2.attention.head_count_kv": 2,
    "qwen2.rope.freq_base": 1e6,
    "tokenizer.ggml.tokens": [f"token {number}" for number in range(2000)],
}
TENSORS: dict[str, tuple[str, Sequence[int]]] = {
    "token_embd.weight": ("Q8_0", (2048, 1024)),
    "output_norm.weight": ("F32", (1024,)),
    "blk.0.attn_norm.weight": ("F32", (1024,)),
    "blk.0.attn_q.weight": ("Q4_K", (1024, 1024)),
    "blk.0.attn_k.weight": ("Q4_K", (128, 1024)),
    "blk.0.attn_v.weight": ("Q6_K", (128, 1024)),
    "blk.0.attn_output.weight": ("Q4_K", (1024, 1024)),
    "blk.0.ffn_gate.weight": ("Q4_K", (4096, 1024)),
    "blk.0.ffn_up.weight": ("Q4_K", (4096, 1024)),
    "blk.0.ffn_down.weight": ("Q6_K", (1024, 4096)),
}
"""A model as llama.cpp writes it for Q4_K_M: some matrices have six bits."""
