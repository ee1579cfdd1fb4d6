"""How large matrices are in the forms that quantizations give them, also where these are mixed."""

from __future__ import annotations

from typing import Any

import pytest

from provision.kinds.vllm.memory.matrices import Matrices
from provision.kinds.vllm.memory.quantization import quantization
from provision.published.tensors import size

ROWS, COLUMNS = 1024, 4096
PLAIN = 2 * ROWS * COLUMNS
WEIGHT = ROWS * COLUMNS
SCALES = WEIGHT // 128


def loaded(name: str, about: dict[str, Any]) -> int:
    """Return the bytes of a matrix in the files."""
    write = Matrices("bfloat16", quantization({"quantization_config": about}, {}))
    return size(write.linear(name, ROWS, COLUMNS))


def compressed(weights: dict[str, Any], *targets: str, **more: Any) -> dict[str, Any]:
    group = {"targets": list(targets) or ["Linear"], "weights": weights}
    return {"quant_method": "compressed-tensors", "config_groups": {"group_0": group}, **more}


UP = "model.layers.3.mlp.up_proj"
INT4: dict[str, Any] = {"num_bits": 4, "type": "int", "strategy": "group", "group_size": 128}
FP4: dict[str, Any] = {"num_bits": 4, "type": "float", "strategy": "tensor_group", "group_size": 16}


@pytest.mark.parametrize(
    ("about", "expected"),
    [
        # Scales have 16 bits, zeros as many as a weight; GPTQ says of which group each column is.
        ({"quant_method": "awq", "bits": 4, "group_size": 128}, WEIGHT // 2 + 2 * SCALES + SCALES // 2),
        (
            {"quant_method": "gptq", "bits": 4, "group_size": 128},
            WEIGHT // 2 + 2 * SCALES + SCALES // 2 + 4 * COLUMNS,
        ),
        (
            {"quant_method": "gptq", "bits": 8, "group_size": 128},
            WEIGHT + 2 * SCALES + SCALES + 4 * COLUMNS,
        ),
        (
            {"quant_method": "gptq", "bits": 4, "group_size": -1},  # a scale for each row
            WEIGHT // 2 + 2 * ROWS + ROWS // 2 + 4 * COLUMNS,
        ),
        (compressed(INT4), WEIGHT // 2 + 2 * SCALES),
        (compressed(FP4), WEIGHT // 2 + WEIGHT // 16),
        (compressed({"num_bits": 8, "type": "float", "strategy": "channel"}), WEIGHT + 4 * ROWS),
        (
            compressed({"num_bits": 8, "type": "float", "strategy": "block", "block_structure": [128, 128]}),
            WEIGHT + 4 * WEIGHT // 128**2,
        ),
        ({"quant_method": "fp8", "weight_block_size": [128, 128]}, WEIGHT + 4 * WEIGHT // 128**2),
        ({"quant_method": "modelopt", "quantization": {"quant_algo": "NVFP4"}}, WEIGHT // 2 + WEIGHT // 16),
    ],
)
def test_a_matrix_has_weights_scales_and_zeros(about: dict[str, Any], expected: int) -> None:
    assert loaded(UP, about) == expected


def test_groups_of_compressed_tensors_are_for_the_modules_that_they_name() -> None:
    mixed = compressed(INT4, "re:.*experts.*")
    mixed["config_groups"]["group_1"] = {"targets": ["re:.*self_attn.*"], "weights": {"num_bits": 8}}
    assert loaded("model.layers.3.mlp.experts.0.up_proj", mixed) == WEIGHT // 2 + 2 * SCALES
    assert loaded("model.layers.3.self_attn.q_proj", mixed) == WEIGHT
    assert loaded(UP, mixed) == PLAIN
    general = compressed(INT4)
    general["config_groups"]["group_1"] = {"targets": ["re:.*self_attn.*"], "weights": {"num_bits": 8}}
    assert loaded(UP, general) == WEIGHT // 2 + 2 * SCALES
    assert loaded("model.layers.3.self_attn.q_proj", general) == WEIGHT


def test_what_is_ignored_stays_as_it_is_also_within_a_group() -> None:
    about = compressed(INT4, "re:.*mlp.*", ignore=["model.layers.3.mlp.up_proj", "lm_head"])
    assert loaded(UP, about) == PLAIN
    assert loaded("model.layers.4.mlp.up_proj", about) == WEIGHT // 2 + 2 * SCALES


def test_modules_of_gptq_and_autoround_may_have_bits_of_their_own() -> None:
    dynamic = {r"-:.*layers\.3\..*": {}, r"+:.*layers\.4\..*": {"bits": 8}}
    gptq = {"quant_method": "gptq", "bits": 4, "group_size": 128, "dynamic": dynamic}
    rest = WEIGHT // 2 + 2 * SCALES + SCALES // 2 + 4 * COLUMNS
    assert loaded(UP, gptq) == PLAIN
    assert loaded("model.layers.4.mlp.up_proj", gptq) == WEIGHT + 3 * SCALES + 4 * COLUMNS
    assert loaded("model.layers.5.mlp.up_proj", gptq) == rest
    extra = {"model.layers.3.mlp.up_proj": {"bits": 16}}
    round_ = {"quant_method": "auto-round", "bits": 4, "group_size": 128, "extra_config": extra}
    assert loaded(UP, round_) == PLAIN
    assert loaded("model.layers.5.mlp.up_proj", round_) == WEIGHT // 2 + 2 * SCALES + SCALES // 2


def test_a_pattern_that_is_none_means_nothing() -> None:
    assert loaded(UP, compressed(INT4, ignore=["re:*.broken("])) == WEIGHT // 2 + 2 * SCALES
