"""What a model's `config.json` says of its shape.

Follows vLLM 0.25.1: `transformers_utils/model_arch_config_convertor.py` (which key means what) and
`config/model.py` (`_get_and_verify_max_len`: how long a context may be).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from provision.kinds.vllm.memory.families import FAMILIES, Family

Config = Mapping[str, Any]


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

    - `kind`: gated delta net (Qwen3-Next), lightning attention (MiniMax-01), or Mamba 2 (Granite 4)
    - `taps`: of the convolution that mixes neighbours, beside the token itself; 0 without one
    - `heads`, `rows`, `columns`: the state
    - `keys`: heads of keys, or groups (Mamba 2), each `columns` long
    - `single`: it is kept in float32 whatever the type of the model
    """

    kind: Literal["delta", "lightning", "mamba"]
    taps: int
    heads: int
    rows: int
    columns: int
    keys: int
    single: bool = False

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
    """A layer: what mixes tokens, and behind it a feed-forward part of `width`, or experts."""

    mixer: Mixer
    width: int
    experts: Experts | None = None


@dataclass(frozen=True)
class Quantization:
    """How the weights are stored.

    - `method`: vLLM's name: fp8, awq, gptq, compressed-tensors, mxfp4, modelopt, …
    - `bits`: of a weight
    - `group`: weights that share a scale; None for one scale a channel
    - `block`: rows and columns that share a scale (fp8)
    - `skipped`: modules that are not quantized, as the configuration names them
    """

    method: str
    bits: float
    group: int | None = None
    block: tuple[int, int] | None = None
    skipped: tuple[str, ...] = ()


@dataclass(frozen=True)
class Architecture:
    """The shape of a model.

    - `name`: of the class that vLLM loads, such as Qwen2ForCausalLM
    - `family`: what is particular about it; None when provision does not know the name
    - `context`: the longest context that vLLM allows, in tokens
    - `positions`: rows of the rotary tables, `rotary` their columns
    - `drafters`: layers for multi-token prediction, which are loaded for speculative decoding only
    - `vision`: the configuration of its image encoder, if it has one
    """

    name: str
    family: Family | None
    hidden: int
    vocabulary: int
    layers: tuple[Layer, ...]
    dtype: str
    tied: bool
    context: int
    positions: int
    rotary: int
    quantization: Quantization | None = None
    drafters: int = 0
    vision: Config = field(default_factory=dict)
    text: Config = field(default_factory=dict)

    @property
    def hybrid(self) -> bool:
        """Whether some layers keep a state instead of keys and values."""
        return any(isinstance(layer.mixer, State) for layer in self.layers)

    @property
    def latent(self) -> bool:
        """Whether its attention is MLA."""
        return any(isinstance(layer.mixer, Latent) for layer in self.layers)

    @property
    def experts(self) -> bool:
        """Whether it is a mixture of experts."""
        return any(layer.experts for layer in self.layers)

    @property
    def heads(self) -> int:
        """Query heads of its attention; 0 when no layer has any."""
        return max(
            (m.query for m in (each.mixer for each in self.layers) if not isinstance(m, State)), default=0
        )


def read(config: Config) -> Architecture:
    """Read a `config.json`.

    Raises:
        UnknownShape: it is not of a language model, or lacks what the shape is computed from.
    """
    text = _text(config)
    names = config.get("architectures") or [""]
    name = str(names[0])
    family = FAMILIES.get(name)
    layers = _whole(text, "num_hidden_layers", "n_layer", "num_layers")
    heads = _whole(text, "num_attention_heads", "n_head")
    hidden = _whole(text, "hidden_size", "n_embd")
    mixers = _mixers(text, layers, heads, hidden)
    sized = next((mixer for mixer in mixers if isinstance(mixer, Heads)), None)
    rotary = int(text.get("qk_rope_head_dim") or (sized.size * _share(text) if sized else 0))
    if text.get("position_embedding_type") == "nope":
        rotary = 0
    context = _context(text, config)
    return Architecture(
        name=name,
        family=family,
        hidden=hidden,
        vocabulary=_whole(text, "vocab_size"),
        layers=tuple(Layer(mixer, _width(text), _experts(text, index)) for index, mixer in enumerate(mixers)),
        dtype=_dtype(config, text),
        tied=_tied(config, text),
        context=context,
        positions=_positions(text, context),
        rotary=rotary,
        quantization=_quantization(config, text),
        drafters=_drafters(text, family),
        vision=config.get("vision_config") or {},
        text=text,
    )


_DEFAULTS: dict[str, dict[str, Any]] = {
    "gemma3_text": {
        "vocab_size": 262208,
        "num_attention_heads": 8,
        "num_key_value_heads": 4,
        "head_dim": 256,
        "sliding_window": 4096,
        "sliding_window_pattern": 6,
        "max_position_embeddings": 131072,
        "tie_word_embeddings": True,
    },
    "gpt_oss": {"tie_word_embeddings": False},
    "llama4_text": {"tie_word_embeddings": False},
}
"""What Transformers takes for keys that a published `config.json` of a model type leaves out."""


def _text(config: Config) -> Config:
    inner = config.get("text_config") or config.get("llm_config") or config.get("language_config")
    text = {**inner} if isinstance(inner, Mapping) else {**config}
    kind = str(text.get("model_type") or config.get("model_type") or "")
    return {**_DEFAULTS.get(kind.replace("gemma3", "gemma3_text").replace("_text_text", "_text"), {}), **text}


def _whole(text: Config, *names: str) -> int:
    for name in names:
        value = text.get(name)
        if isinstance(value, int) and value > 0:
            return value
    raise UnknownShape(f"its config.json has no {names[0]}")


def _tied(config: Config, text: Config) -> bool:
    """Say whether input and output share one table; Transformers' default is yes."""
    outer = config.get("tie_word_embeddings")
    return bool(text.get("tie_word_embeddings", True if outer is None else outer))


def _dtype(config: Config, text: Config) -> str:
    for place in (config, text, config.get("vision_config") or {}):
        value = place.get("torch_dtype") or place.get("dtype")
        if isinstance(value, str):
            return value.removeprefix("torch.")
    # Then vLLM takes the type of the weights, which is this one wherever a config.json does not say it.
    return "bfloat16"


def _share(text: Config) -> float:
    rope = text.get("rope_parameters") or {}
    return float(text.get("partial_rotary_factor") or rope.get("partial_rotary_factor") or 1.0)


def _mixers(text: Config, layers: int, heads: int, hidden: int) -> list[Mixer]:
    kinds = _kinds(text, layers)
    if text.get("kv_lora_rank") is not None:
        rank = text.get("q_lora_rank")
        latent = Latent(
            heads,
            _whole(text, "kv_lora_rank"),
            _whole(text, "qk_rope_head_dim"),
            _whole(text, "qk_nope_head_dim"),
            _whole(text, "v_head_dim"),
            int(rank) if rank else None,
            int(text.get("index_head_dim") or 0),
            int(text.get("index_n_heads") or 0),
        )
        return [latent if kind != "linear" else _state(text) for kind in kinds]
    size = int(text.get("head_dim") or hidden // heads)
    kv = next(
        (text[name] for name in ("num_key_value_heads", "num_kv_heads", "n_head_kv") if text.get(name)), heads
    )
    found: list[Mixer] = []
    for kind in kinds:
        if kind == "linear":
            found.append(_state(text))
        else:
            value = int(text.get("v_head_dim") or size)
            window = int(text["sliding_window"]) if kind == "window" else None
            chunk = int(text["attention_chunk_size"]) if kind == "chunk" else None
            found.append(Heads(heads, int(kv), size, value, window, chunk))
    return found


def _state(text: Config) -> State:
    if "linear_num_value_heads" in text:
        keys, values = _whole(text, "linear_num_key_heads"), _whole(text, "linear_num_value_heads")
        rows, columns = _whole(text, "linear_value_head_dim"), _whole(text, "linear_key_head_dim")
        single = text.get("mamba_ssm_dtype") == "float32"
        taps = _whole(text, "linear_conv_kernel_dim") - 1
        return State("delta", taps, values, rows, columns, keys, single)
    if text.get("attn_type_list"):
        heads = _whole(text, "num_attention_heads")
        size = int(text.get("head_dim") or _whole(text, "hidden_size") // heads)
        return State("lightning", 0, heads, size, size, heads, single=True)
    if "mamba_d_state" in text:
        heads, size = _whole(text, "mamba_n_heads"), _whole(text, "mamba_d_head")
        groups, taps = int(text.get("mamba_n_groups") or 1), int(text.get("mamba_d_conv") or 4) - 1
        return State("mamba", taps, heads, size, _whole(text, "mamba_d_state"), groups)
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
        every = int(text["sliding_window_pattern"])
        return ["full" if (index + 1) % every == 0 else "window" for index in range(layers)]
    if model.startswith("gpt_oss"):
        return ["full" if index % 2 else "window" for index in range(layers)]
    if model.startswith("qwen"):
        first = int(text.get("max_window_layers") or layers)
        return ["window" if index >= first else "full" for index in range(layers)]
    return ["window" if model in ("mistral", "mixtral", "gemma") else "full"] * layers


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
    return _whole(text, "moe_intermediate_size")


def _experts(text: Config, index: int) -> Experts | None:
    """Return the experts of a layer; None when it has none."""
    names = ("n_routed_experts", "num_experts", "num_local_experts", "moe_num_experts")
    count = next((int(text[name]) for name in names if text.get(name)), 0)
    if not count or not _has_experts(text, index):
        return None
    width = int(text.get("moe_intermediate_size") or text.get("intermediate_size") or 0)
    shared = int(text.get("n_shared_experts") or 0) * width
    named = ("shared_expert_intermediate_size", "shared_intermediate_size")
    shared = shared or next((int(text[name]) for name in named if text.get(name)), 0)
    if str(text.get("model_type")).startswith("llama4"):
        shared = width
    used = int(text.get("num_experts_per_tok") or text.get("experts_per_token") or 1)
    return Experts(count, width, used, shared)


def _has_experts(text: Config, index: int) -> bool:
    if index in (text.get("mlp_only_layers") or []):
        return False
    if isinstance(text.get("moe_layers"), list):
        return index in text["moe_layers"]
    if text.get("interleave_moe_layer_step"):
        return (index + 1) % int(text["interleave_moe_layer_step"]) == 0
    if text.get("decoder_sparse_step"):
        return (index + 1) % int(text["decoder_sparse_step"]) == 0
    if index < int(text.get("first_k_dense_replace") or 0):
        return False
    frequency = text.get("moe_layer_freq") or 1
    return bool(frequency[index]) if isinstance(frequency, list) else index % int(frequency) == 0


def _positions(text: Config, context: int) -> int:
    """Return the rows of all rotary tables: a linear scaling makes them longer, layers with windows may have
    a table of their own.
    """
    longest = int(text.get("max_position_embeddings") or 0)
    rope = text.get("rope_parameters") or text.get("rope_scaling") or {}
    linear = (rope.get("rope_type") or rope.get("type")) == "linear"
    scaled = int(longest * float(rope.get("factor") or 1)) if linear else max(context, longest)
    return scaled + (longest if text.get("rope_local_base_freq") else 0)


_LENGTHS = (
    "max_position_embeddings",
    "n_positions",
    "max_seq_len",
    "seq_length",
    "model_max_length",
    "max_target_positions",
    "max_sequence_length",
    "max_seq_length",
    "seq_len",
)


def _context(text: Config, config: Config) -> int:
    """Return the longest context; 2048 where nothing says one, as vLLM takes then."""
    lengths = [int(text[name]) for name in _LENGTHS if isinstance(text.get(name), int)]
    longest = int(text.get("model_max_length") or 0) or min(lengths, default=2048)
    rope = text.get("rope_parameters") or text.get("rope_scaling") or {}
    kind = rope.get("rope_type") or rope.get("type")
    if not kind or "gemma3" in str(config.get("model_type")) or kind in ("su", "longrope", "llama3", "mrope"):
        return longest
    factor = float(rope.get("factor") or 1.0)
    if kind == "yarn":
        longest = int(rope.get("original_max_position_embeddings") or longest)
    return int(longest * factor)


_SKIPPED = ("modules_to_not_convert", "ignore", "ignored_layers", "exclude_modules")
"""The keys under which quantization methods list the modules that they leave as they are."""


def _drafters(text: Config, family: Family | None) -> int:
    """Return the layers for multi-token prediction that the files have."""
    said = text.get("num_nextn_predict_layers") or text.get("mtp_num_hidden_layers")
    return int(said or (family.drafters if family else 0))


def _quantization(config: Config, text: Config) -> Quantization | None:
    found = config.get("quantization_config") or config.get("compression_config")
    found = found or text.get("quantization_config")
    if not isinstance(found, Mapping):
        return None
    method = str(found.get("quant_method") or "").lower().replace("compressed_tensors", "compressed-tensors")
    method = method or str((found.get("producer") or {}).get("name") or "")
    inner: Config = found.get("quantization") or found
    skipped: list[Any] = next((inner[name] for name in _SKIPPED if inner.get(name)), [])
    names = tuple(str(each) for each in skipped)
    if method == "fp8":
        block = found.get("weight_block_size")
        return Quantization(method, 8, block=tuple(block) if block else None, skipped=names)
    if method in ("awq", "gptq", "awq_marlin", "gptq_marlin"):
        return Quantization(
            method, int(found.get("bits") or 4), int(found.get("group_size") or 128), skipped=names
        )
    if method == "mxfp4":
        return Quantization(method, 4, 32, skipped=names)
    if method == "compressed-tensors":
        first: Config = next(iter((found.get("config_groups") or {}).values()), {})
        weights = first.get("weights") or {}
        bits = int(weights.get("num_bits") or 8)
        block = weights.get("block_structure")
        group = int(weights.get("group_size") or 0) or None
        return Quantization(method, bits, group, tuple(block) if block else None, names)
    if method.startswith("modelopt"):
        four = "fp4" in method or "FP4" in str(inner.get("quant_algo"))
        return Quantization(method, 4 if four else 8, 16 if four else None, skipped=names)
    return Quantization(method, int(found.get("bits") or 8), skipped=names)
