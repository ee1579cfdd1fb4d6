"""The tensors of the encoders of images that models have, and of what joins these to the model.

From the published checkpoints: SigLIP (Gemma 3), Pixtral (Mistral 3), Llama 4, Qwen 2 to 3.5, InternViT, GLM
4.1V and 4.5V, MoonViT (Kimi-VL), Gemma 4. Small vectors such as biases are left out.
"""

from __future__ import annotations

from collections.abc import Iterator

from provision.kinds.vllm.memory.matrices import Matrices
from provision.kinds.vllm.memory.parts import Config, number
from provision.published.tensors import Tensor

_TOWER = "vision_tower"
_JOINT = "multi_modal_projector"


def encoder(about: Config, hidden: int, write: Matrices) -> Iterator[Tensor]:
    """Return the tensors of an encoder.

    Args:
        about: its configuration.
        hidden: the width of the model that it is joined to.
        write: makes tensors.
    """
    own, kind = number(about, "embed_dim", "hidden_size"), str(about.get("model_type") or "")
    if kind.startswith("gemma3n"):
        return  # counted with the encoder of sound
    layers = number(about, "num_hidden_layers", "depth")
    width = number(about, "intermediate_size") or own * (number(about, "mlp_ratio") or 4)
    if kind.startswith("glm4v"):
        width = number(about, "out_hidden_size")
    # Qwen2.5-VL's is told by its windows: it does not always name its type.
    gated = kind in ("pixtral", "qwen2_5_vl") or kind.startswith(("glm4v", "gemma4"))
    gated = gated or "fullatt_block_indexes" in about
    for index in range(layers):
        name = f"{_TOWER}.layers.{index}"
        for each in ("q_proj", "k_proj", "v_proj", "o_proj"):
            yield write.plain(f"{name}.self_attn.{each}.weight", own, own)
        yield write.plain(f"{name}.mlp.fc1.weight", width, own, count=2 if gated else 1)
        yield write.plain(f"{name}.mlp.fc2.weight", own, width)
    patch, frames = number(about, "patch_size") or 14, number(about, "temporal_patch_size") or 1
    yield write.plain(f"{_TOWER}.patch_embedding.weight", own, 3, frames, patch, patch)
    yield write.plain(f"{_TOWER}.position_embedding.weight", _places(about, kind, patch), own)
    yield from _joint(about, kind, own, width, hidden, write)


def _places(about: Config, kind: str, patch: int) -> int:
    """Return the places that have a vector of their own; none where positions are turned instead."""
    if kind == "pixtral" or "spatial_patch_size" in about:
        return 0
    if kind.startswith("gemma4"):
        return 2 * number(about, "position_embedding_size")
    if kind == "moonvit":
        return number(about, "init_pos_emb_height") * number(about, "init_pos_emb_width")
    return number(about, "num_position_embeddings") or (number(about, "image_size") // patch) ** 2


def _joint(about: Config, kind: str, own: int, width: int, hidden: int, write: Matrices) -> Iterator[Tensor]:
    """What brings the vectors of an encoder to the width of the model."""
    merge = number(about, "spatial_merge_size") or 2
    if kind.startswith("glm4v"):
        inner = number(about, "intermediate_size")
        yield write.plain(f"{_TOWER}.downsample.weight", hidden, own, merge, merge)
        yield write.plain(f"{_JOINT}.proj.weight", hidden, hidden)
        yield write.plain(f"{_JOINT}.gate_up_down_proj.weight", inner, hidden, count=3)
    elif "spatial_merge_size" in about or kind in ("moonvit", "intern_vit_6b"):
        # Neighbours are joined to one that is four times as wide; Qwen3-VL does it at several depths.
        merged, mergers = own * merge**2, 1 + len(about.get("deepstack_visual_indexes") or [])
        wide = hidden if kind == "intern_vit_6b" else merged
        yield write.plain(f"{_JOINT}.fc1.weight", wide, merged, count=mergers)
        yield write.plain(f"{_JOINT}.fc2.weight", hidden, wide, count=mergers)
    elif kind == "pixtral":
        yield write.plain(f"{_JOINT}.patch_merger.weight", own, 4 * own)
        yield write.plain(f"{_JOINT}.linear_1.weight", hidden, own)
        yield write.plain(f"{_JOINT}.linear_2.weight", hidden, hidden)
    elif about.get("projector_input_dim"):
        inner, joined = number(about, "projector_input_dim"), number(about, "projector_output_dim")
        yield write.plain(f"{_TOWER}.adapter.fc1.weight", inner, width)
        yield write.plain(f"{_TOWER}.adapter.fc2.weight", joined, inner)
        yield write.plain(f"{_JOINT}.linear.weight", hidden, joined)
    else:
        yield write.plain(f"{_JOINT}.linear.weight", hidden, own)
