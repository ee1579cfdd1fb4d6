"""Make a tiny model of experts: a Qwen3-MoE of four megabytes with random weights, for expert parallelism.

    python tests/lab/models/tiny_experts.py OUT

Standard library; takes some seconds. It has the tokenizer of ``playbooks/models/tiny-chat`` and its chat
template. What it says means nothing; but it never ends its answer by itself, so that a chat has one.
"""

from __future__ import annotations

import json
import math
import random
import shutil
import struct
import sys
from collections.abc import Iterator
from pathlib import Path

TOKENIZER = Path(__file__).parents[3] / "playbooks" / "models" / "tiny-chat"
FILES = ("tokenizer.json", "tokenizer_config.json", "vocab.json", "merges.txt", "configuration.json")

HIDDEN, HEADS, KV_HEADS, HEAD, INTERMEDIATE, LAYERS, EXPERTS, VOCABULARY = 128, 4, 2, 32, 128, 4, 8, 800
SPECIAL = 3
"""The first tokens, one of which would end an answer."""

CONFIG = {
    "architectures": ["Qwen3MoeForCausalLM"],
    "model_type": "qwen3_moe",
    "hidden_size": HIDDEN,
    "num_attention_heads": HEADS,
    "num_key_value_heads": KV_HEADS,
    "head_dim": HEAD,
    "intermediate_size": 2 * INTERMEDIATE,
    "moe_intermediate_size": INTERMEDIATE,
    "num_hidden_layers": LAYERS,
    "num_experts": EXPERTS,
    "num_experts_per_tok": 2,
    "norm_topk_prob": True,
    "decoder_sparse_step": 1,
    "mlp_only_layers": [],
    "router_aux_loss_coef": 0.001,
    "output_router_logits": False,
    "attention_bias": False,
    "attention_dropout": 0.0,
    "hidden_act": "silu",
    "initializer_range": 0.02,
    "max_position_embeddings": 32768,
    "rms_norm_eps": 1e-06,
    "rope_theta": 10000.0,
    "rope_scaling": None,
    "sliding_window": None,
    "use_sliding_window": False,
    "tie_word_embeddings": False,
    "use_cache": True,
    "vocab_size": VOCABULARY,
    "bos_token_id": 0,
    "eos_token_id": 2,
    "pad_token_id": 0,
    "torch_dtype": "bfloat16",
}

Shape = tuple[int, ...]


def tensors() -> Iterator[tuple[str, Shape]]:
    """Give the name and the shape of each tensor."""
    yield "model.embed_tokens.weight", (VOCABULARY, HIDDEN)
    for layer in range(LAYERS):
        at = f"model.layers.{layer}"
        yield f"{at}.input_layernorm.weight", (HIDDEN,)
        yield f"{at}.post_attention_layernorm.weight", (HIDDEN,)
        for name, heads in (("q", HEADS), ("k", KV_HEADS), ("v", KV_HEADS)):
            yield f"{at}.self_attn.{name}_proj.weight", (heads * HEAD, HIDDEN)
        yield f"{at}.self_attn.o_proj.weight", (HIDDEN, HEADS * HEAD)
        yield f"{at}.self_attn.q_norm.weight", (HEAD,)
        yield f"{at}.self_attn.k_norm.weight", (HEAD,)
        yield f"{at}.mlp.gate.weight", (EXPERTS, HIDDEN)
        for expert in range(EXPERTS):
            yield f"{at}.mlp.experts.{expert}.gate_proj.weight", (INTERMEDIATE, HIDDEN)
            yield f"{at}.mlp.experts.{expert}.up_proj.weight", (INTERMEDIATE, HIDDEN)
            yield f"{at}.mlp.experts.{expert}.down_proj.weight", (HIDDEN, INTERMEDIATE)
    yield "model.norm.weight", (HIDDEN,)
    yield "lm_head.weight", (VOCABULARY, HIDDEN)


def values(name: str, shape: Shape, chance: random.Random) -> bytes:
    """Return a tensor in bfloat16: ones for a norm, small random numbers for all else."""
    count = math.prod(shape)
    if len(shape) == 1:
        return bfloat16([1.0] * count)
    numbers = [chance.uniform(-1, 1) * 2 / math.sqrt(shape[-1]) for _ in range(count)]
    if name == "lm_head.weight":
        numbers[: SPECIAL * HIDDEN] = [0.0] * (SPECIAL * HIDDEN)
    return bfloat16(numbers)


def bfloat16(numbers: list[float]) -> bytes:
    """Return numbers as the upper halves of 32-bit floats, little-endian."""
    words = struct.pack(f"<{len(numbers)}f", *numbers)
    return b"".join(words[at + 2 : at + 4] for at in range(0, len(words), 4))


def main(out: Path) -> None:
    """Write the model's directory."""
    out.mkdir(parents=True, exist_ok=True)
    for name in FILES:
        shutil.copy(TOKENIZER / name, out / name)
    (out / "config.json").write_text(json.dumps(CONFIG, indent=1) + "\n")
    chance, header, data = random.Random(1), {}, bytearray()
    for name, shape in tensors():
        begin = len(data)
        data += values(name, shape, chance)
        header[name] = {"dtype": "BF16", "shape": list(shape), "data_offsets": [begin, len(data)]}
    head = json.dumps(header).encode()
    head += b" " * (-len(head) % 8)
    (out / "model.safetensors").write_bytes(struct.pack("<Q", len(head)) + head + data)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
