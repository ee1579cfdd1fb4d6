"""The layers of a model: what mixes tokens, and the feed-forward part behind it.

Follows vLLM 0.25.1: `transformers_utils/model_arch_config_convertor.py`, and the classes of the models for
which layers attend to all tokens, to a window, or keep a state.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

Config = Mapping[str, Any]
"""A `config.json`, or the part of it that is about text."""


class UnknownShape(Exception):
    """A `config.json` lacks what the shape of the model is computed from; `str` of it says what."""


@dataclass(frozen=True)
class Heads:
    """Attention that keeps a key and a value for each token.

    - `query`, `kv`: heads
    - `size`: elements of a head, `value_size` those of its value
    - `window`: the tokens that a layer looks back, None for all
    - `chunk`: the tokens of the chunk that a layer looks at (Llama 4), None for all
    """

    query: int
    kv: int
    size: int
    value_size: int
    window: int | None = None
    chunk: int | None = None


@dataclass(frozen=True)
class Latent:
    """Multi-head latent attention (DeepSeek): one compressed vector for each token.

    - `rank`, `rope`: elements of that vector without and with position
    - `query_rank`: of the compressed query; None when it is not compressed
    - `nope`, `value`: elements of a head
    - `indexer`: elements of a head of the sparse attention's index (DeepSeek V3.2); 0 without
    """

    query: int
    rank: int
    rope: int
    nope: int
    value: int
    query_rank: int | None
    indexer: int = 0
    indexer_heads: int = 0


@dataclass(frozen=True)
class State:
    """Linear attention or Mamba: a state of fixed size for each sequence.

    - `kind`: gated delta net (Qwen3-Next), Kimi's delta attention, lightning attention (MiniMax-01), or
      Mamba 2 (Granite 4, Nemotron-H)
    - `taps`: of the convolution that mixes neighbours, beside the token itself; 0 without one
    - `heads`, `rows`, `columns`: the state
    - `keys`: heads of keys, or groups (Mamba 2), each `columns` long
    - `single`: it is kept in float32 whatever the type of the model
    - `chunk`: tokens after which the kernels can keep it for common beginnings (Mamba 2); 0 at the end only
    """

    kind: Literal["delta", "kimi", "lightning", "mamba"]
    taps: int
    heads: int
    rows: int
    columns: int
    keys: int
    single: bool = False
    chunk: int = 0

    @property
    def values(self) -> int:
        """How wide the values of all heads are."""
        return self.heads * self.rows

    def channels(self, ranks: int = 1) -> int:
        """Return the channels of its convolution; each of the ranks that share them needs a group."""
        groups = max(self.keys, ranks) if self.kind == "mamba" and self.keys % ranks else self.keys
        return self.values + 2 * groups * self.columns


Mixer = Heads | Latent | State


@dataclass(frozen=True)
class Experts:
    """A mixture of experts: `count` of `width`, of which a token uses `used`; `shared` is the width that all
    tokens use.
    """

    count: int
    width: int
    used: int
    shared: int


@dataclass(frozen=True)
class Layer:
    """A layer: what mixes tokens, and behind it a feed-forward part of `width`, or experts.

    A layer of Nemotron-H has only one of them: its mixer is None, or its width 0.
    """

    mixer: Mixer | None
    width: int
    experts: Experts | None = None


def layers(text: Config) -> tuple[Layer, ...]:
    """Read the layers of a model.

    Raises:
        UnknownShape: something that they are computed from is missing, or not known.
    """
    if text.get("hybrid_override_pattern"):
        return _patterned(text, str(text["hybrid_override_pattern"]))
    return tuple(
        Layer(mixer, _width(text), _experts(text, index)) for index, mixer in enumerate(_mixers(text))
    )


def _patterned(text: Config, pattern: str) -> tuple[Layer, ...]:
    """Read layers that have one part each (Nemotron-H): M keeps a state, * attends, E has experts."""
    found = []
    for index, letter in enumerate(pattern):
        if letter in "M*":
            found.append(Layer(_state(text) if letter == "M" else _heads(text, "full"), 0))
        else:
            found.append(Layer(None, _width(text), _experts(text, index) if letter == "E" else None))
    return tuple(found)


def whole(text: Config, *names: str) -> int:
    """Return the first of some keys that holds a whole number.

    Raises:
        UnknownShape: none does.
    """
    for name in names:
        value = text.get(name)
        if isinstance(value, int) and value > 0:
            return value
    raise UnknownShape(f"its config.json has no {names[0]}")


def _mixers(text: Config) -> list[Mixer]:
    kinds = _kinds(text, whole(text, "num_hidden_layers", "n_layer", "num_layers"))
    if text.get("kv_lora_rank") is not None:
        rank = text.get("q_lora_rank")
        latent = Latent(
            whole(text, "num_attention_heads"),
            whole(text, "kv_lora_rank"),
            whole(text, "qk_rope_head_dim"),
            whole(text, "qk_nope_head_dim"),
            whole(text, "v_head_dim"),
            int(rank) if rank else None,
            int(text.get("index_head_dim") or 0),
            int(text.get("index_n_heads") or 0),
        )
        return [latent if kind != "linear" else _state(text) for kind in kinds]
    return [_state(text) if kind == "linear" else _heads(text, kind) for kind in kinds]


def _heads(text: Config, kind: str) -> Heads:
    heads, hidden = whole(text, "num_attention_heads", "n_head"), whole(text, "hidden_size", "n_embd")
    size = int(text.get("head_dim") or text.get("kv_channels") or hidden // heads)
    names = ("num_key_value_heads", "num_kv_heads", "n_head_kv", "multi_query_group_num")
    kv = next((int(text[name]) for name in names if text.get(name)), heads)
    value = int(text.get("v_head_dim") or size)
    window = int(text["sliding_window"]) if kind == "window" else None
    chunk = int(text["attention_chunk_size"]) if kind == "chunk" else None
    return Heads(heads, kv, size, value, window, chunk)


def _state(text: Config) -> State:
    if "linear_num_value_heads" in text:
        keys, values = whole(text, "linear_num_key_heads"), whole(text, "linear_num_value_heads")
        rows, columns = whole(text, "linear_value_head_dim"), whole(text, "linear_key_head_dim")
        single = text.get("mamba_ssm_dtype") == "float32"
        taps = whole(text, "linear_conv_kernel_dim") - 1
        return State("delta", taps, values, rows, columns, keys, single)
    if text.get("attn_type_list"):
        heads = whole(text, "num_attention_heads")
        size = int(text.get("head_dim") or whole(text, "hidden_size") // heads)
        return State("lightning", 0, heads, size, size, heads, single=True)
    if text.get("linear_attn_config"):
        about = text["linear_attn_config"]
        heads, size = whole(about, "num_heads"), whole(about, "head_dim")
        return State(
            "kimi", whole(about, "short_conv_kernel_size") - 1, heads, size, size, heads, single=True
        )
    chunk = int(text.get("mamba_chunk_size") or text.get("chunk_size") or 256)
    if "ssm_state_size" in text:
        heads, size, rank = (
            whole(text, "mamba_num_heads"),
            whole(text, "mamba_head_dim"),
            whole(text, "ssm_state_size"),
        )
        single = text.get("mamba_ssm_cache_dtype", "float32") == "float32"
        return State(
            "mamba", whole(text, "conv_kernel") - 1, heads, size, rank, whole(text, "n_groups"), single, chunk
        )
    if "mamba_d_state" in text:
        heads, size, rank = (
            whole(text, "mamba_n_heads"),
            whole(text, "mamba_d_head"),
            whole(text, "mamba_d_state"),
        )
        groups, taps = int(text.get("mamba_n_groups") or 1), int(text.get("mamba_d_conv") or 4) - 1
        return State("mamba", taps, heads, size, rank, groups, chunk=chunk)
    raise UnknownShape("its config.json has layers whose state provision cannot compute")


_LAYER_TYPES = {
    "full_attention": "full",
    "attention": "full",
    "sliding_attention": "window",
    "chunked_attention": "chunk",
    "linear_attention": "linear",
    "mamba": "linear",
    "deepseek_sparse_attention": "full",
}


def _kinds(text: Config, layers: int) -> list[str]:
    """Return for each layer: full, window, chunk or linear."""
    if text.get("linear_attn_config"):
        keeping = text["linear_attn_config"]["full_attn_layers"]
        return ["full" if index + 1 in keeping else "linear" for index in range(layers)]
    named = text.get("layer_types")
    model = str(text.get("model_type") or "")
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
    if text.get("attn_type_list"):
        return ["full" if kind == 1 else "linear" for kind in text["attn_type_list"][:layers]]
    if text.get("full_attention_interval") or "linear_num_value_heads" in text:
        every = int(text.get("full_attention_interval") or 4)
        return ["full" if (index + 1) % every == 0 else "linear" for index in range(layers)]
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


def _width(text: Config) -> int:
    for name in (
        "intermediate_size_mlp",
        "shared_intermediate_size",
        "intermediate_size",
        "ffn_dim",
        "n_inner",
        "ffn_hidden_size",
    ):
        if isinstance(text.get(name), int):
            return int(text[name])
    return whole(text, "moe_intermediate_size")


def _experts(text: Config, index: int) -> Experts | None:
    """Return the experts of a layer; None when it has none."""
    count = _number(text, index, "n_routed_experts", "num_experts", "num_local_experts", "moe_num_experts")
    if not count or not _has_experts(text, index):
        return None
    width = _number(text, index, "moe_intermediate_size", "intermediate_size")
    names = ("n_shared_experts", "num_shared_experts", "moe_num_shared_experts", "num_shared_expert")
    shared = _number(text, index, *names) * width
    one = (
        "moe_shared_expert_intermediate_size",
        "shared_expert_intermediate_size",
        "shared_intermediate_size",
    )
    shared = _number(text, index, *one) or shared
    if str(text.get("model_type")).startswith("llama4"):
        shared = width
    some = ("num_experts_per_tok", "num_experts_per_token", "experts_per_token", "moe_k", "moe_topk")
    return Experts(count, width, _number(text, index, *some) or 1, shared)


def _number(text: Config, index: int, *names: str) -> int:
    """Return the first of some keys that has a number, for all layers or for each; 0 when none has."""
    for name in names:
        value = text.get(name)
        value = value[min(index, len(value) - 1)] if isinstance(value, list) and value else value
        if value:
            return int(value)
    return 0


def _has_experts(text: Config, index: int) -> bool:
    if index in (text.get("mlp_only_layers") or []):
        return False
    if isinstance(text.get("moe_layers"), list):
        return index in text["moe_layers"]
    if text.get("moe_layer_interval"):
        first, last = int(text.get("moe_layer_start_index") or 0), int(text.get("moe_layer_end_index") or -1)
        return (
            index >= first
            and (last < 0 or index <= last)
            and (index + 1) % int(text["moe_layer_interval"]) == 0
        )
    if text.get("interleave_moe_layer_step"):
        return (index + 1) % int(text["interleave_moe_layer_step"]) == 0
    if text.get("decoder_sparse_step"):
        return (index + 1) % int(text["decoder_sparse_step"]) == 0
    if index < int(text.get("first_k_dense_replace") or 0):
        return False
    frequency = text.get("moe_layer_freq") or 1
    return bool(frequency[index]) if isinstance(frequency, list) else index % int(frequency) == 0
