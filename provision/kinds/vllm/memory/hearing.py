"""The tensors of the encoders of sound that models have, and of what joins these to the model.

From Transformers' classes: Whisper's encoder (Qwen2-Audio, Qwen2.5-Omni, Voxtral), that of Qwen3-Omni, and
Gemma 4's. Gemma 3n has one size of encoders, which its files tell.
"""

from __future__ import annotations

from collections.abc import Iterator

from provision.kinds.vllm.memory.matrices import Matrices
from provision.kinds.vllm.memory.parts import Config, whole
from provision.published.tensors import Tensor

_TOWER = "audio_tower"
_JOINT = "audio_projector"

GEMMA3N = 983_200_000
"""Numbers in both encoders of Gemma 3n: those of the files of E2B and of E4B, less those of the text."""


def hearing(about: Config, hidden: int, write: Matrices) -> Iterator[Tensor]:
    """Return the tensors of an encoder.

    Args:
        about: its configuration.
        hidden: the width of the model that it is joined to.
        write: makes tensors.
    """
    kind = str(about.get("model_type"))
    if kind.startswith("gemma3n"):
        yield write.plain(f"{_TOWER}.weight", GEMMA3N)
    elif kind.startswith("gemma4"):
        yield from _gemma(about, hidden, write)
    else:
        yield from _whisper(about, kind, hidden, write)


def _gemma(about: Config, hidden: int, write: Matrices) -> Iterator[Tensor]:
    own, layers = int(about.get("hidden_size") or 1024), int(about.get("num_hidden_layers") or 12)
    joined = int(about.get("output_proj_dims") or 1536)
    # Of each layer: two feed-forward parts, attention with relative places, and a convolution.
    yield write.plain(f"{_TOWER}.layers.weight", own, own, count=24 * layers)
    yield write.plain(f"{_TOWER}.output_proj.weight", joined, own)
    yield write.plain(f"{_JOINT}.weight", hidden, joined)


def _whisper(about: Config, kind: str, hidden: int, write: Matrices) -> Iterator[Tensor]:
    own = whole(about, "d_model", "hidden_size")
    inner = whole(about, "encoder_ffn_dim", "intermediate_size")
    for index in range(whole(about, "encoder_layers", "num_hidden_layers")):
        name = f"{_TOWER}.layers.{index}"
        yield write.plain(f"{name}.self_attn.weight", own, own, count=4)
        yield write.plain(f"{name}.mlp.weight", inner, own, count=2)
    if kind.startswith("qwen3"):
        yield from _images(about, own, write)
        return
    yield write.plain(f"{_TOWER}.conv1.weight", own, int(about.get("num_mel_bins") or 128), 3)
    yield write.plain(f"{_TOWER}.conv2.weight", own, own, 3)
    if "omni" not in kind:
        yield write.plain(f"{_TOWER}.embed_positions.weight", whole(about, "max_source_positions"), own)
    if kind.startswith("voxtral"):
        yield write.plain(f"{_JOINT}.linear_1.weight", hidden, own * int(about.get("downsample_factor") or 4))
        yield write.plain(f"{_JOINT}.linear_2.weight", hidden, hidden)
    else:
        yield write.plain(f"{_JOINT}.linear.weight", int(about.get("output_dim") or hidden), own)


def _images(about: Config, own: int, write: Matrices) -> Iterator[Tensor]:
    """Qwen3-Omni reads a spectrum as an image: its beginning and its end."""
    wide = whole(about, "downsample_hidden_size")
    yield write.plain(f"{_TOWER}.conv2d.weight", wide, wide, 3, 3, count=2)
    yield write.plain(f"{_TOWER}.conv_out.weight", own, wide * int(about.get("num_mel_bins") or 128) // 8)
    yield write.plain(f"{_JOINT}.proj1.weight", own, own)
    yield write.plain(f"{_JOINT}.proj2.weight", whole(about, "output_dim"), own)
