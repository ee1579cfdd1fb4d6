"""Mistral's own format tells what its `config.json` on Hugging Face tells."""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

import pytest

from provision.kinds.vllm.memory.architecture import Architecture, read
from provision.kinds.vllm.memory.published import published
from provision.published import models
from provision.published.models import Absent, Unreadable
from provision.published.tensors import size
from tests.unit.kinds.vllm.models import MODELS

SMALL: dict[str, Any] = {
    "dim": 5120,
    "n_layers": 40,
    "head_dim": 128,
    "hidden_dim": 32768,
    "n_heads": 32,
    "n_kv_heads": 8,
    "rope_theta": 100000000.0,
    "norm_eps": 1e-05,
    "vocab_size": 131072,
    "max_position_embeddings": 32768,
}
"""As Mistral-Small-24B-Instruct-2501 has it."""

PIXTRAL: dict[str, Any] = {
    "dim": 5120,
    "n_layers": 40,
    "head_dim": 128,
    "hidden_dim": 14336,
    "n_heads": 32,
    "n_kv_heads": 8,
    "rope_theta": 1000000000.0,
    "norm_eps": 1e-05,
    "vocab_size": 131072,
    "vision_encoder": {
        "hidden_size": 1024,
        "num_channels": 3,
        "image_size": 1024,
        "patch_size": 16,
        "rope_theta": 1e4,
        "intermediate_size": 4096,
        "num_hidden_layers": 24,
        "num_attention_heads": 16,
        "image_token_id": 10,
        "adapter_bias": True,
    },
}
"""As Pixtral-12B-2409 has it."""

LARGE3: dict[str, Any] = {
    "dim": 7168,
    "n_layers": 61,
    "head_dim": 128,
    "hidden_dim": 16384,
    "n_heads": 128,
    "n_kv_heads": 128,
    "q_lora_rank": 1536,
    "qk_rope_head_dim": 64,
    "qk_nope_head_dim": 128,
    "kv_lora_rank": 512,
    "v_head_dim": 128,
    "vocab_size": 131072,
    "max_position_embeddings": 294912,
    "llama_4_scaling": {"original_max_position_embeddings": 8192, "beta": 0.1},
    "moe": {
        "num_experts": 128,
        "num_experts_per_tok": 4,
        "expert_hidden_dim": 4096,
        "num_shared_experts": 1,
        "first_k_dense_replace": 3,
        "route_every_n": 1,
    },
}
"""The shape of Mistral-Large-3-675B-Instruct-2512."""


def put(folder: Path, params: dict[str, Any], **tensors: list[int]) -> models.Model:
    (folder / "params.json").write_text(json.dumps(params))
    if tensors:
        about = {
            name.replace("__", "."): {"dtype": "BF16", "shape": shape, "data_offsets": [0, 0]}
            for name, shape in tensors.items()
        }
        text = json.dumps(about).encode()
        (folder / "consolidated.safetensors").write_bytes(struct.pack("<Q", len(text)) + text)
    return models.model(models.folder(str(folder)))


def shape(model: Architecture) -> tuple[Any, ...]:
    return (model.hidden, model.vocabulary, model.layers, model.context, model.tied)


def test_it_is_the_model_of_the_other_format(tmp_path: Path) -> None:
    found = put(tmp_path, SMALL)
    ours, theirs = read(found.config), read(MODELS["Mistral-Small-24B-Instruct-2501"]["config"])
    assert found.tensors is None
    assert shape(ours) == shape(theirs)
    assert size(published(ours)) == size(published(theirs))


def test_its_weights_are_counted_by_their_usual_names(tmp_path: Path) -> None:
    found = put(
        tmp_path,
        SMALL,
        tok_embeddings__weight=[131072, 5120],
        layers__0__attention__wq__weight=[4096, 5120],
        layers__0__feed_forward__w2__weight=[5120, 32768],
        output__weight=[131072, 5120],
    )
    assert found.tensors
    assert {tensor.name for tensor in found.tensors} == {
        "model.embed_tokens.weight",
        "model.layers.0.self_attn.q_proj.weight",
        "model.layers.0.mlp.down_proj.weight",
        "lm_head.weight",
    }


def test_an_image_encoder_is_counted(tmp_path: Path) -> None:
    model = read(put(tmp_path, PIXTRAL).config)
    assert model.name == "PixtralForConditionalGeneration"
    # The page of the model says 12.68 billion parameters.
    assert size(published(model)) / 2 == pytest.approx(12.68e9, rel=0.01)
    assert model.context == 128_000


def test_experts_and_latent_attention_are_those_of_deepseek(tmp_path: Path) -> None:
    model = read(put(tmp_path, LARGE3).config)
    assert model.name == "MistralLarge3ForCausalLM"
    assert model.latent
    assert model.experts
    # 675 billion with the image encoder of 2.5 billion, as its page says.
    assert size(published(model)) / 2 == pytest.approx(672.5e9, rel=0.01)


def test_fp8_is_read(tmp_path: Path) -> None:
    model = read(put(tmp_path, {**SMALL, "quantization": {"qformat_weight": "fp8_e4m3"}}).config)
    assert model.quantization
    assert model.quantization.method == "fp8"


def test_windows_may_be_listed_for_some_layers(tmp_path: Path) -> None:
    model = read(put(tmp_path, {**SMALL, "sliding_window": [None, 4096, 4096, 4096]}).config)
    windows = [getattr(mixer, "window", None) for mixer in model.mixers]
    assert windows[:5] == [None, 4096, 4096, 4096, None]


def test_what_has_another_form_is_said(tmp_path: Path) -> None:
    (tmp_path / "params.json").write_text(json.dumps({**SMALL, "moe": {"num_experts": 8}}))
    with pytest.raises(Unreadable, match=r"params\.json has another form"):
        models.model(models.folder(str(tmp_path)))


def test_a_folder_with_neither_has_no_config(tmp_path: Path) -> None:
    with pytest.raises(Absent, match=r"config\.json"):
        models.model(models.folder(str(tmp_path)))
