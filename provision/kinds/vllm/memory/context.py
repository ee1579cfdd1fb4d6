"""How long a context a model has, and how large its tables of positions are.

Follows vLLM 0.25.1: `config/model.py` (`_get_and_verify_max_len`), `transformers_utils/config.py` (how
positions are scaled), and `model_executor/layers/rotary_embedding`.
"""

from __future__ import annotations

from collections.abc import Mapping

from provision.kinds.vllm.memory.parts import Config, Heads, Layer

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
"""The keys that may hold the longest context; the smallest counts."""

_UNKNOWN_LENGTH = 2048
"""What vLLM takes when no key says how long a context is."""


def longest(text: Config) -> int:
    """Return the longest context that vLLM allows, in tokens."""
    length, kinds = _plain(text), [(_kind(rope), rope) for rope in _ropes(text)]
    if "gemma3" in str(text.get("model_type")):
        return length  # it says the scaled length itself
    factor = 1.0
    for kind, rope in kinds:
        if kind not in ("su", "longrope", "llama3"):
            factor = float(rope.get("factor") or factor)
        if kind == "yarn":
            length = int(rope.get("original_max_position_embeddings") or length)
    return int(length * factor)


def usual(text: Config) -> int:
    """Return the context that a model has when `max_model_len` is not set, in tokens."""
    original = text.get("original_max_position_embeddings")
    if original and any(_kind(rope) in ("longrope", "su") for rope in _ropes(text)):
        return int(original)
    return longest(text)


def table(text: Config, layers: tuple[Layer, ...]) -> int:
    """Return the numbers in all tables of positions: a row for each position, of what of a head is turned.

    A linear scaling makes a table longer; layers with windows may have one of their own.
    """
    if text.get("position_embedding_type") in ("nope", "absolute") or text.get("model_type") in _UNTURNED:
        return 0
    heads = next((each for layer in layers for each in layer.mixers if isinstance(each, Heads)), None)
    columns = int(text.get("qk_rope_head_dim") or (heads.size * _turned(text) if heads else 0))
    length = int(text.get("max_position_embeddings") or 0)
    rows = max(longest(text), length)
    if text.get("global_head_dim"):
        # Gemma 4 has one for each size of heads, and turns what its proportion says in a table of full width.
        return rows * (int(text["global_head_dim"]) + int(text.get("head_dim") or 256))
    for rope in _ropes(text):
        if _kind(rope) == "linear":
            rows = max(rows, int(length * float(rope.get("factor") or 1)))
    if any("mrope_section" in rope for rope in _ropes(text)):
        rows *= 4  # of images and films, positions are counted in three directions
    return columns * (rows + (length if text.get("rope_local_base_freq") or len(_ropes(text)) > 1 else 0))


_UNTURNED = {"jamba", "nemotron_h", "bert", "roberta", "xlm-roberta"}
"""Types of models that have no such table."""


def _plain(text: Config) -> int:
    lengths = [int(text[name]) for name in _LENGTHS if isinstance(text.get(name), int)]
    return int(text.get("model_max_length") or 0) or min(lengths, default=_UNKNOWN_LENGTH)


def _ropes(text: Config) -> list[Config]:
    """Return how positions are scaled: once for all layers, or for each type of layer."""
    found = text.get("rope_parameters") or text.get("rope_scaling") or {}
    nested = [each for each in found.values() if isinstance(each, Mapping)]
    return nested or [found]


def _kind(rope: Config) -> str:
    return str(rope.get("rope_type") or rope.get("type") or "default")


def _turned(text: Config) -> float:
    """Return the share of a head that positions turn."""
    shares = [rope.get("partial_rotary_factor") for rope in _ropes(text)]
    return float(text.get("partial_rotary_factor") or next(filter(None, shares), 1.0))
