"""What vLLM needs to try out an encoder of images or of sound, before it makes the cache.

Follows vLLM 0.25.1: `multimodal/encoder_budget.py` and `profile_run` of `v1/worker/gpu_model_runner.py`. The
encoder runs once, with items of the largest size: one, or as many as have the tokens of one step. Their
vectors are kept while the model runs a step behind it. How many tokens the largest item has is what each
model's `get_mm_max_tokens_per_item` gives, films included. No start here has measured it: the range is wide.
"""

from __future__ import annotations

from math import ceil

from packaging.version import Version

from provision.kinds.common.demand import Range
from provision.kinds.vllm.memory.architecture import Architecture
from provision.kinds.vllm.memory.parts import Config, number
from provision.kinds.vllm.memory.settings import Settings

_PATCH = 3
"""Elements of a patch in the peak of an encoder, for each column of its hidden state."""

_INNER, _GATED = 2, 3
"""The same for each column of its feed-forward part, without and with a gate."""

_LEAST, _MOST = 0.4, 2.0
"""The range, as factors on what is computed."""

_LATER = Version("0.26.0")
"""Before this release the second model runner does not try an encoder out."""

_SURELY = Version("0.32.0")
"""From this release on it does (`v1/worker/gpu/model_runner.py`)."""


def tried(model: Architecture, settings: Settings, step: Range, second: bool) -> Range:
    """Return the peak of a step with an encoder before it.

    Args:
        model: its shape.
        settings: what decides about memory.
        step: the peak of a step of the model alone.
        second: it runs under the second model runner.
    """
    if not settings.images or not (model.vision or model.audio):
        return step
    tokens, patches = _items(model, settings)
    deep = model.vision.get("deepstack_visual_indexes")
    kept = tokens * model.hidden * (1 + (len(deep) if isinstance(deep, list) else 0)) * 2
    peak = round(tokens * patches * _elements(model, settings) * 2)
    most = max(step.most + kept, round(peak * _MOST))
    if second and settings.release < _SURELY:
        return step if settings.release < _LATER else Range(step.least, step.usual, most)
    least = max(step.least, round(peak * _LEAST))
    return Range(least, max(step.usual + kept, peak), most)


def _items(model: Architecture, settings: Settings) -> tuple[int, int]:
    """Return the tokens of all items that are tried, and the patches behind each token."""
    largest, patches = _largest(model, settings)
    return max(settings.batched // largest, 1) * largest, patches


_FRAMES = 14
"""Most frames of a film that Qwen 2-VL and 2.5-VL are tried with, two to a patch."""

_IMAGE = 16384
"""The tokens of the largest image of Qwen's models (`max_pixels`)."""


def _largest(model: Architecture, settings: Settings) -> tuple[int, int]:
    """Return the tokens of the largest item, and the patches behind each token."""
    about, length = model.vision, settings.length or model.context
    if not about:
        return _sound(model.audio)
    kind, merge = str(about.get("model_type")), number(about, "spatial_merge_size") or 2
    if model.name.startswith(("Qwen2VL", "Qwen2_5")):
        pairs = min(max(length // _IMAGE, 1), _FRAMES // 2) if settings.films else 1
        return _IMAGE * pairs, merge**2
    if model.name.startswith("Qwen3"):
        return _IMAGE, merge**2
    if kind.startswith("gemma4"):
        return 280, (number(about, "pooling_kernel_size") or 3) ** 2
    if model.name.startswith("Gemma3"):
        return 256, 16
    side = (number(about, "image_size") or 896) // (number(about, "patch_size") or 14)
    if kind == "pixtral":
        merge = number(about, "spatial_merge_size") or (2 if model.name.startswith("Mistral3") else 1)
        return max(side // merge, 1) ** 2, merge**2
    if model.name.startswith("InternVL"):
        tiles = 13 * 256
        return max(tiles, (length - tiles) // 256 * 256 if settings.films else tiles), 4
    if kind.startswith("llama4"):
        return 17 * 144, 4
    return 4096, 4


def _sound(about: Config) -> tuple[int, int]:
    """Return the same of thirty seconds of sound."""
    places = number(about, "max_source_positions") or 1500
    joined = number(about, "downsample_factor") or 2
    return max(places // joined, 1), joined


def _elements(model: Architecture, settings: Settings) -> float:
    """Return the elements that one patch has in the peak of the encoder on one GPU."""
    about = model.vision or model.audio
    own = number(about, "embed_dim", "hidden_size", "d_model") or 1152
    inner = number(about, "intermediate_size", "encoder_ffn_dim") or 4 * own
    gated = "fullatt_block_indexes" in about or str(about.get("model_type")).startswith(("pixtral", "gemma4"))
    whole = model.family is not None and bool(model.family.whole)
    share = 1 if whole else settings.tensor
    pixels = 3 * number(about, "patch_size") ** 2 * (number(about, "temporal_patch_size") or 1)
    return _PATCH * own + ceil((_GATED if gated else _INNER) * inner / share) + pixels
