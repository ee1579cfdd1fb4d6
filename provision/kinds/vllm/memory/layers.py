"""The layers of a model, in their order.

Follows vLLM 0.25.1: `transformers_utils/model_arch_config_convertor.py`, and the classes of the models for
which layers attend, keep a state, or have experts.
"""

from __future__ import annotations

from collections.abc import Iterator

from provision.kinds.vllm.memory.attention import attention, kinds, shared
from provision.kinds.vllm.memory.parts import Config, Experts, Layer, Mixer, whole
from provision.kinds.vllm.memory.states import state


def layers(text: Config) -> tuple[Layer, ...]:
    """Read the layers of a model.

    Raises:
        UnknownShape: something that they are computed from is missing, or not known.
    """
    pattern = _pattern(text)
    if pattern:
        return tuple(_patterned(text, pattern))
    count = whole(text, "num_hidden_layers", "n_layer", "num_layers")
    return tuple(
        Layer(_mixers(text, kind, index), _width(text, index), _experts(text, index))
        for index, kind in enumerate(kinds(text, count))
    )


_LETTERS = {"mamba": "M", "attention": "*", "moe": "E", "mlp": "-"}


def _pattern(text: Config) -> str:
    """Return the letters of layers that have one part each (Nemotron-H): M keeps a state, * attends, E has
    experts.
    """
    named = text.get("layers_block_type")
    if text.get("model_type") == "nemotron_h" and isinstance(named, list):
        return "".join(_LETTERS[str(each)] for each in named)
    return str(text.get("hybrid_override_pattern") or "")


def _patterned(text: Config, pattern: str) -> Iterator[Layer]:
    for index, letter in enumerate(pattern):
        if letter in "M*":
            yield Layer((state(text) if letter == "M" else attention(text, "full", index),), 0)
        else:
            yield Layer((), _width(text, index), _experts(text, index) if letter == "E" else None)


def _mixers(text: Config, kind: str, index: int) -> tuple[Mixer, ...]:
    if kind == "linear":
        return (state(text),)
    attending = attention(text, kind, index)
    return (attending, state(text)) if kind == "both" else (attending,)


_NO_WIDTH = {"mamba", "mamba2", "falcon_mamba"}
"""Types of models whose layers are a state and nothing else."""


def _width(text: Config, index: int) -> int:
    if text.get("model_type") in _NO_WIDTH:
        return 0
    wide = 2 if text.get("use_double_wide_mlp") and shared(text, index) else 1
    for name in (
        "intermediate_size_mlp",
        "shared_intermediate_size",
        "intermediate_size",
        "ffn_dim",
        "n_inner",
        "ffn_hidden_size",
    ):
        if text.get(name):
            return wide * _number(text, index, name)
    return whole(text, "moe_intermediate_size")


def _experts(text: Config, index: int) -> Experts | None:
    """Return the experts of a layer; None when it has none."""
    count = _number(text, index, "n_routed_experts", "num_experts", "num_local_experts", "moe_num_experts")
    if not count or not _has_experts(text, index):
        return None
    width = _number(text, index, "moe_intermediate_size", "intermediate_size")
    names = ("n_shared_experts", "num_shared_experts", "moe_num_shared_experts", "num_shared_expert")
    always = _number(text, index, *names) * width
    one = (
        "moe_shared_expert_intermediate_size",
        "shared_expert_intermediate_size",
        "shared_intermediate_size",
    )
    always = _number(text, index, *one) or always
    if str(text.get("model_type")).startswith("llama4"):
        always = width
    if text.get("enable_moe_block"):
        always = whole(text, "intermediate_size")
    return Experts(count, width, _number(text, index, *_USED) or 1, always)


_USED = (
    "num_experts_per_tok",
    "num_experts_per_token",
    "experts_per_token",
    "moe_k",
    "moe_topk",
    "top_k_experts",
)


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
    if text.get("expert_layer_period"):
        period, offset = int(text["expert_layer_period"]), int(text.get("expert_layer_offset") or 0)
        return index % period == offset and _number(text, index, "num_experts") > 1
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
