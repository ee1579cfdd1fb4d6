"""The `config.json` that a GGUF file stands for, and its tensors by the names that safetensors files have.

Follows Transformers 5.5, `integrations/ggml.py` (`GGUF_CONFIG_MAPPING`), which vLLM takes the configuration
from, and ggml's `gguf-py/gguf/tensor_mapping.py`.
"""

from __future__ import annotations

import re
from typing import Any, Iterable, Mapping

from provision.published.tensors import Tensor

METHOD = "gguf"
"""The name that vLLM has for this form of weights."""

_KEYS = {
    "context_length": "max_position_embeddings",
    "block_count": "num_hidden_layers",
    "embedding_length": "hidden_size",
    "feed_forward_length": "intermediate_size",
    "attention.head_count": "num_attention_heads",
    "attention.head_count_kv": "num_key_value_heads",
    "attention.key_length": "head_dim",
    "attention.sliding_window": "sliding_window",
    "expert_count": "num_experts",
    "expert_used_count": "num_experts_per_tok",
    "expert_feed_forward_length": "moe_intermediate_size",
    "expert_shared_feed_forward_length": "shared_expert_intermediate_size",
}
"""Keys of a `config.json` by those of the metadata, which begin with the architecture."""

_ARCHITECTURES = {
    "llama": ("LlamaForCausalLM", "llama"),
    "mistral": ("MistralForCausalLM", "mistral"),
    "mistral3": ("MistralForCausalLM", "mistral"),
    "qwen2": ("Qwen2ForCausalLM", "qwen2"),
    "qwen2moe": ("Qwen2MoeForCausalLM", "qwen2_moe"),
    "qwen3": ("Qwen3ForCausalLM", "qwen3"),
    "qwen3moe": ("Qwen3MoeForCausalLM", "qwen3_moe"),
    "gemma2": ("Gemma2ForCausalLM", "gemma2"),
    "gemma3": ("Gemma3ForCausalLM", "gemma3_text"),
    "gpt-oss": ("GptOssForCausalLM", "gpt_oss"),
    "granite": ("GraniteForCausalLM", "granite"),
    "phi3": ("Phi3ForCausalLM", "phi3"),
    "starcoder2": ("Starcoder2ForCausalLM", "starcoder2"),
}
"""Architectures by the names of GGUF: the class of vLLM, and the type of the model."""

_WINDOWED = {"gemma2", "gemma3", "gpt-oss"}
"""Those of which some layers have a window; in the files of others it is no longer used."""

_NAMES = (
    (r"^blk\.(\d+)\.", r"model.layers.\1."),
    (r"^token_embd\.", "model.embed_tokens."),
    (r"^output_norm\.", "model.norm."),
    (r"^output\.", "lm_head."),
    (r"\.attn_(q|k|v)\.", r".self_attn.\1_proj."),
    (r"\.attn_qkv\.", ".self_attn.qkv_proj."),
    (r"\.attn_output\.", ".self_attn.o_proj."),
    (r"\.attn_(q|k)_norm\.", r".self_attn.\1_norm."),
    (r"\.attn_sinks\.", ".self_attn.sinks."),
    (r"\.ffn_(gate|up|down)\.", r".mlp.\1_proj."),
    (r"\.ffn_(gate|up|down)_exps\.", r".mlp.experts.\1_proj."),
    (r"\.ffn_(gate|up|down)_shexp\.", r".mlp.shared_experts.\1_proj."),
    (r"\.ffn_gate_inp_shexp\.", ".mlp.shared_expert_gate."),
    (r"\.ffn_gate_inp\.", ".mlp.gate."),
)
_PATTERNS = tuple((re.compile(pattern), name) for pattern, name in _NAMES)


def config(metadata: Mapping[str, Any], tensors: Iterable[Tensor]) -> dict[str, Any]:
    """Return what a `config.json` would say; an architecture that is not known keeps its name."""
    kind = str(metadata.get("general.architecture"))
    name, model = _ARCHITECTURES.get(kind, (kind, kind))
    found: dict[str, Any] = {"architectures": [name], "model_type": model}
    for theirs, ours in _KEYS.items():
        value = metadata.get(f"{kind}.{theirs}")
        if value is not None:
            found[ours] = value
    if kind == "llama" and found.get("num_experts"):
        found["architectures"] = ["MixtralForCausalLM"]
    if kind not in _WINDOWED:
        found.pop("sliding_window", None)
    shapes = {tensor.name: tensor.shape for tensor in tensors}
    table = shapes.get("token_embd.weight")
    if table:
        found["vocab_size"] = table[0]
    found["tie_word_embeddings"] = "output.weight" not in shapes
    found["quantization_config"] = {"quant_method": METHOD}
    return found


def renamed(tensor: Tensor) -> Tensor:
    """Return a tensor by the name that it has in safetensors files."""
    return tensor.renamed(_PATTERNS)
