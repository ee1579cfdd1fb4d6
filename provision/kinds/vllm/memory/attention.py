"""The layers that attend: their heads, and which of them look at all tokens, a window, or a chunk.

Follows vLLM 0.25.1: `transformers_utils/model_arch_config_convertor.py`, and the classes of the models.
"""

from __future__ import annotations

from provision.kinds.vllm.memory.parts import Config, Heads, Latent, UnknownShape, whole

ENCODERS = {"bert", "roberta", "xlm-roberta", "modernbert", "nomic_bert", "new", "camembert"}
"""Types of models all of whose layers see the whole text, so that nothing is kept of it."""


def attention(text: Config, kind: str, index: int) -> Heads | Latent:
    """Return what attends in a layer that is full, or has a window or a chunk."""
    return _heads(text, kind, index) if text.get("kv_lora_rank") is None else _latent(text)


def _latent(text: Config) -> Latent:
    rank = text.get("q_lora_rank")
    return Latent(
        whole(text, "num_attention_heads"),
        whole(text, "kv_lora_rank"),
        whole(text, "qk_rope_head_dim"),
        whole(text, "qk_nope_head_dim"),
        whole(text, "v_head_dim"),
        int(rank) if rank else None,
        int(text.get("index_head_dim") or 0),
        int(text.get("index_n_heads") or 0),
    )


def _heads(text: Config, kind: str, index: int) -> Heads:
    heads, hidden = whole(text, "num_attention_heads", "n_head"), whole(text, "hidden_size", "n_embd")
    sizes = ("attention_head_dim", "head_dim", "kv_channels")
    size = next((int(text[name]) for name in sizes if text.get(name)), hidden // heads)
    names = ("num_key_value_heads", "num_kv_heads", "n_head_kv", "multi_query_group_num")
    kv = next((int(text[name]) for name in names if text.get(name)), heads)
    alike = bool(kind == "full" and text.get("attention_k_eq_v"))
    if kind == "full" and text.get("global_head_dim"):
        size = int(text["global_head_dim"])
        kv = int(text.get("num_global_key_value_heads") or kv) if alike else kv
    value = int(text.get("v_head_dim") or size)
    window = int(text["sliding_window"]) if kind == "window" else None
    chunk = int(text["attention_chunk_size"]) if kind == "chunk" else None
    return Heads(heads, kv, size, value, window, chunk, _kept(text, index), alike)


def _kept(text: Config, index: int) -> bool:
    """Say whether a layer keeps keys and values of its own."""
    if text.get("model_type") in ENCODERS or text.get("is_causal") is False:
        return False
    if text.get("use_bidirectional_attention") in (True, "all"):
        return False
    return not shared(text, index)


def shared(text: Config, index: int) -> bool:
    """Say whether a layer uses the keys and values of an earlier one (Gemma 3n, Gemma 4)."""
    others = int(text.get("num_kv_shared_layers") or 0)
    return index >= whole(text, "num_hidden_layers", "n_layer", "num_layers") - others


_LAYER_TYPES = {
    "full_attention": "full",
    "attention": "full",
    "sliding_attention": "window",
    "chunked_attention": "chunk",
    "linear_attention": "linear",
    "mamba": "linear",
    "conv": "linear",
    "deepseek_sparse_attention": "full",
}


_BLOCK_TYPES = {"mamba": "linear", "attention": "full", "hybrid": "both"}
_STATES = {"mamba", "mamba2", "falcon_mamba"}
"""Types of models that do not attend at all."""


def kinds(text: Config, layers: int) -> list[str]:
    """Return for each layer: full, window, chunk, linear, or both (attention beside a state)."""
    model = str(text.get("model_type") or "")
    if model in _STATES:
        return ["linear"] * layers
    if model == "falcon_h1":
        return ["both"] * layers
    if model in ENCODERS:
        return ["full"] * layers
    return _mixed(text, layers) or _windowed(text, layers, model)


def _mixed(text: Config, layers: int) -> list[str]:
    """Return the kinds where some layers keep a state; none where a model has no such layers."""
    if text.get("layers_block_type"):
        return [_BLOCK_TYPES[kind] for kind in text["layers_block_type"][:layers]]
    if text.get("attn_layer_period"):
        period, offset = int(text["attn_layer_period"]), int(text.get("attn_layer_offset") or 0)
        return ["full" if index % period == offset else "linear" for index in range(layers)]
    if text.get("attn_layer_indices"):
        return ["full" if index in text["attn_layer_indices"] else "linear" for index in range(layers)]
    if text.get("linear_attn_config"):
        keeping = text["linear_attn_config"]["full_attn_layers"]
        return ["full" if index + 1 in keeping else "linear" for index in range(layers)]
    if text.get("attn_type_list"):
        return ["full" if kind == 1 else "linear" for kind in text["attn_type_list"][:layers]]
    if "layer_types" in text:
        return []
    if text.get("full_attention_interval") or "linear_num_value_heads" in text:
        every = int(text.get("full_attention_interval") or 4)
        return ["full" if (index + 1) % every == 0 else "linear" for index in range(layers)]
    return []


def _windowed(text: Config, layers: int, model: str) -> list[str]:
    """Return the kinds by the names of layers, or by what is said of windows and chunks."""
    named = text.get("layer_types")
    if isinstance(named, list) and len(named) >= layers:
        unknown = sorted({str(kind) for kind in named} - _LAYER_TYPES.keys())
        if unknown:
            raise UnknownShape(f"its config.json has layers of an unknown type, {unknown[0]}")
        kinds = [_LAYER_TYPES[kind] for kind in named[:layers]]
        if model.startswith("qwen2") and not text.get("use_sliding_window"):
            kinds = ["full" if kind == "window" else kind for kind in kinds]
        return (
            kinds if text.get("sliding_window") else ["full" if kind == "window" else kind for kind in kinds]
        )
    if text.get("attention_chunk_size"):
        rope = text.get("no_rope_layers") or [int((index + 1) % 4 != 0) for index in range(layers)]
        return ["chunk" if rope[index] else "full" for index in range(layers)]
    if not text.get("sliding_window") or text.get("use_sliding_window") is False:
        return ["full"] * layers
    if text.get("sliding_window_pattern"):
        pattern = text["sliding_window_pattern"]
        if isinstance(pattern, str):  # such as LLLG: local, global
            return ["full" if pattern[index % len(pattern)] == "G" else "window" for index in range(layers)]
        every = int(pattern)
        return ["full" if (index + 1) % every == 0 else "window" for index in range(layers)]
    if model.startswith(("gpt_oss", "gemma2")):
        return ["full" if index % 2 else "window" for index in range(layers)]
    if model.startswith("qwen"):
        first = int(text.get("max_window_layers") or layers)
        return ["window" if index >= first else "full" for index in range(layers)]
    return ["window"] * layers
