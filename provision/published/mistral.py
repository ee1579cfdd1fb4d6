"""Mistral's own format: the `config.json` that a `params.json` stands for, and tensors by their usual names.

Follows vLLM 0.25.1: `transformers_utils/configs/mistral.py` (`adapt_config_dict`), and the names that
`model_executor/models/llama.py`, `deepseek_v2.py`, `pixtral.py` and `voxtral.py` load.
"""

from __future__ import annotations

import re
from typing import Any

from provision.published.tensors import Tensor

PARAMS = "params.json"
INDEX = "consolidated.safetensors.index.json"
SINGLE = "consolidated.safetensors"

_KEYS = {
    "dim": "hidden_size",
    "n_layers": "num_hidden_layers",
    "n_heads": "num_attention_heads",
    "n_kv_heads": "num_key_value_heads",
    "hidden_dim": "intermediate_size",
    "tied_embeddings": "tie_word_embeddings",
}
_EXPERTS = {
    "route_every_n": "moe_layer_freq",
    "first_k_dense_replace": "first_k_dense_replace",
    "num_experts_per_tok": "num_experts_per_tok",
    "num_experts": "n_routed_experts",
    "expert_hidden_dim": "moe_intermediate_size",
    "num_shared_experts": "n_shared_experts",
}
_LENGTH = 128_000
"""The longest context where neither file says one."""


def config(params: dict[str, Any]) -> dict[str, Any]:
    """Return what a `config.json` would say."""
    text: dict[str, Any] = {_KEYS.get(name, name): value for name, value in params.items()}
    text.setdefault("max_position_embeddings", _LENGTH)
    text["model_type"] = "mistral"
    found: dict[str, Any] = {}
    quantization = text.pop("quantization", None)
    if isinstance(quantization, dict):
        fp8 = quantization.get("qformat_weight") == "fp8_e4m3"
        found["quantization_config"] = {"quant_method": "fp8"} if fp8 else quantization
    name = _experts(text)
    _windows(text)
    if isinstance(text.get("yarn"), dict):
        text["rope_parameters"] = {"rope_type": "yarn", **text.pop("yarn")}
    several = text.pop("multimodal", None) or {}
    vision = several.get("vision_encoder_args") or text.pop("vision_encoder", None)
    audio = (several.get("whisper_model_args") or {}).get("encoder_args")
    if vision:
        found["vision_config"] = {"model_type": "pixtral", **vision}
        name = "PixtralForConditionalGeneration"
    if audio:
        found["audio_config"] = _audio(audio, several["whisper_model_args"])
        causal = audio.get("causal")
        name = "VoxtralRealtimeGeneration" if causal else "VoxtralForConditionalGeneration"
    found["architectures"] = [name]
    return {**found, "text_config": text} if vision or audio else {**text, **found}


def _experts(text: dict[str, Any]) -> str:
    """Name the class, and turn the keys of experts into the usual ones."""
    moe = text.pop("moe", None)
    if not isinstance(moe, dict):
        return "MistralForCausalLM"
    if moe.get("num_shared_experts"):
        text.update({theirs: moe[ours] for ours, theirs in _EXPERTS.items() if ours in moe})
        text["model_type"] = "deepseek_v3"
        return "MistralLarge3ForCausalLM"
    text["num_local_experts"], text["num_experts_per_tok"] = moe["num_experts"], moe["num_experts_per_tok"]
    return "MixtralForCausalLM"


def _windows(text: dict[str, Any]) -> None:
    window = text.get("sliding_window")
    if isinstance(window, list):
        kinds = ["full_attention" if each is None else "sliding_attention" for each in window]
        text["layer_types"] = kinds * (int(text["num_hidden_layers"]) // len(kinds))
        text["sliding_window"] = next(filter(None, window), None)


def _audio(encoder: dict[str, Any], whole: dict[str, Any]) -> dict[str, Any]:
    return {
        "model_type": "voxtral_encoder",
        "d_model": encoder["dim"],
        "encoder_layers": encoder["n_layers"],
        "encoder_ffn_dim": encoder["hidden_dim"],
        "encoder_attention_heads": encoder["n_heads"],
        "num_mel_bins": (encoder.get("audio_encoding_args") or {}).get("num_mel_bins"),
        "max_source_positions": encoder.get("max_source_positions") or 1500,
        "downsample_factor": (whole.get("downsample_args") or {}).get("downsample_factor"),
    }


_NAMES = (
    (r"^tok_embeddings\.", "model.embed_tokens."),
    (r"^output\.", "lm_head."),
    (r"^norm\.", "model.norm."),
    (r"^(mm_whisper_embeddings|mm_streams_embeddings\.embedding_module)\.", "audio_tower."),
    (r"^audio_tower\.tok_embeddings\.", "model.embed_tokens."),
    (r"^layers\.(\d+)\.", r"model.layers.\1."),
    (r"^(?:vision_encoder|vision_language_adapter)\.", "vision_tower."),
    (r"^(?:patch_merger|pre_mm_projector_norm)\.", "multi_modal_projector.patch_merger."),
    (r"\.attention\.w([qkvo])\.", r".self_attn.\1_proj."),
    (r"\.attention\.wq_([ab])\.", r".self_attn.q_\1_proj."),
    (r"\.attention\.wkv_a_with_mqa\.", ".self_attn.kv_a_proj_with_mqa."),
    (r"\.attention\.wkv_b\.", ".self_attn.kv_b_proj."),
    (r"\.(?:feed_forward\.)?(experts\.\d+|shared_experts)\.w1\.", r".mlp.\1.gate_proj."),
    (r"\.(?:feed_forward\.)?(experts\.\d+|shared_experts)\.w2\.", r".mlp.\1.down_proj."),
    (r"\.(?:feed_forward\.)?(experts\.\d+|shared_experts)\.w3\.", r".mlp.\1.up_proj."),
    (r"\.(?:feed_forward\.)?gate\.", ".mlp.gate."),
    (r"\.feed_forward\.w1\.", ".mlp.gate_proj."),
    (r"\.feed_forward\.w2\.", ".mlp.down_proj."),
    (r"\.feed_forward\.w3\.", ".mlp.up_proj."),
)  # fmt: skip
_PATTERNS = tuple((re.compile(pattern), name) for pattern, name in _NAMES)


def renamed(tensor: Tensor) -> Tensor:
    """Return a tensor by the name that it has in other files."""
    return tensor.renamed(_PATTERNS)
