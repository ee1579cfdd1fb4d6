"""Weights, cache and verdict, by numbers that vLLM's source and logs give."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest
from packaging.version import Version

from provision.kinds.common.cards import GIB, Card, card, cards
from provision.kinds.common.demand import Range, Taken
from provision.kinds.vllm.fields import VllmService
from provision.kinds.vllm.memory import kv, weights
from provision.kinds.vllm.memory.architecture import Architecture, read
from provision.kinds.vllm.memory.fit import Draft, Fit, foresee
from provision.kinds.vllm.memory.kv import Cache
from provision.kinds.vllm.memory.parts import Heads, UnknownShape
from provision.kinds.vllm.memory.published import published
from provision.kinds.vllm.memory.remedy import remedies
from provision.kinds.vllm.memory.settings import Settings, settings
from provision.published.tensors import Tensor, grouped, size
from tests.unit.kinds.vllm.models import MODELS

RELEASE = Version("0.25.1")


def model(name: str, **changes: Any) -> Architecture:
    return read({**MODELS[name]["config"], **changes})


def service(**fields: Any) -> VllmService:
    return VllmService.model_validate({"kind": "vllm", "environment": "e", "model": "m", **fields})


def named(name: str) -> Card:
    found = card(name)
    assert found
    return found


def chosen(shape: Architecture, gpu: str = "H100", release: Version = RELEASE, **fields: Any) -> Settings:
    return settings(service(**fields), shape, named(gpu), release)


def cache(name: str, **fields: Any) -> Cache:
    shape = model(name)
    return kv.cache(shape, chosen(shape, **fields), 0, len(shape.layers))


def loaded(name: str, **fields: Any) -> int:
    """The weights on the fullest GPU, without what is kept beside them."""
    shape = model(name)
    found = weights.stages(published(shape), shape, chosen(shape, **fields))
    return max(stage.weights for stage in found)


def fit(name: str, gpu: str = "H100", **fields: Any) -> Fit:
    return foresee(model(name), None, service(**fields), named(gpu), RELEASE)


# -- keys and values


@pytest.mark.parametrize(
    ("name", "fields", "token"),
    [
        ("Qwen2.5-7B-Instruct", {}, 2 * 28 * 4 * 128 * 2),
        ("Qwen2.5-7B-Instruct", {"kv_cache_dtype": "fp8"}, 2 * 28 * 4 * 128),
        ("Qwen2.5-7B-Instruct", {"tensor_parallel_size": 2}, 2 * 28 * 2 * 128 * 2),
        ("Qwen3-30B-A3B", {"tensor_parallel_size": 8}, 2 * 48 * 1 * 128 * 2),  # 4 heads are replicated
        ("DeepSeek-V3", {"tensor_parallel_size": 8}, 61 * (512 + 64) * 2),  # latent: not split, not doubled
    ],
)
def test_bytes_of_a_token(name: str, fields: dict[str, Any], token: int) -> None:
    divided = cache(name, **fields)
    assert len(divided.groups) == 1
    assert divided.size == token * divided.groups[0].block


def test_layers_with_windows_share_blocks_with_those_without() -> None:
    # 12 layers with a window and 12 without: two groups of 12; a step has 8192 tokens at most.
    divided = cache("gpt-oss-20b")
    assert [group.window for group in divided.groups] == [128, None]
    assert divided.size == 12 * 16 * 2 * 8 * 64 * 2
    assert divided.needed_blocks(131072) == 131072 // 16 + (127 + 8192 + 15) // 16 + 1


def test_windows_count_in_full_where_the_hybrid_manager_is_off() -> None:
    divided = cache("gpt-oss-20b", extra_args=["--disable-hybrid-kv-cache-manager"])
    assert [group.window for group in divided.groups] == [None]
    assert divided.needed(131072) == 24 * 131072 * 2 * 8 * 64 * 2


def test_gemma_has_one_full_layer_in_six() -> None:
    # 62 layers: 10 full and 52 with a window, in groups of 10.
    divided = cache("gemma-3-27b-it")
    assert [group.window is None for group in divided.groups] == [False] * 6 + [True]
    assert divided.size == 10 * 16 * 2 * 16 * 128 * 2


def test_a_window_holds_for_all_layers_where_nothing_else_is_said() -> None:
    shape = model("phi-4", sliding_window=2047)
    assert {mixer.window for mixer in shape.mixers if isinstance(mixer, Heads)} == {2047}


def test_llama_4_has_chunks() -> None:
    divided = cache("Llama-4-Scout-17B-16E-Instruct", tensor_parallel_size=8)
    assert sorted(group.chunk or 0 for group in divided.groups) == [0, 8192, 8192, 8192]


@pytest.mark.parametrize(
    ("name", "release", "windows"),
    [
        ("gpt-oss-20b", "0.9.0", False),
        ("gpt-oss-20b", "0.10.1", True),
        ("Llama-4-Scout-17B-16E-Instruct", "0.13.0", False),
        ("Llama-4-Scout-17B-16E-Instruct", "0.14.1", True),
    ],
)
def test_older_releases_keep_windows_and_chunks_in_full(name: str, release: str, windows: bool) -> None:
    shape = model(name)
    asked = chosen(shape, release=Version(release))
    divided = kv.cache(shape, asked, 0, len(shape.layers))
    assert (len(divided.groups) > 1) == windows


def test_older_releases_log_tokens_of_blocks() -> None:
    shape = model("gpt-oss-20b")
    asked = chosen(shape, release=Version("0.19.1"), max_model_len=1000)
    divided = kv.cache(shape, asked, 0, len(shape.layers))
    assert divided.tokens(divided.size * 101, 1000) == 101 // 2 * 16


@pytest.mark.parametrize(
    ("changes", "block", "state"),
    [({}, 400, 1), ({"enable_prefix_caching": True}, 512, 8)],
)
def test_mamba_2_keeps_a_state_at_each_block_for_common_beginnings(
    changes: dict[str, Any], block: int, state: int
) -> None:
    # vLLM 0.25.1 logs blocks of 400 and, in chunks of 256, of 512 tokens for granite-4.0-h-tiny.
    shape = model("granite-4.0-h-tiny")
    divided = kv.cache(shape, chosen(shape, **changes), 0, len(shape.layers))
    attention = next(group for group in divided.groups if not group.state)
    assert attention.block == block
    assert divided.groups[0].pages(8 * block, 8192, divided.spare) == state


@pytest.mark.parametrize(("cache_dtype", "block"), [("auto", 16), ("fp8", 64)])
def test_latent_attention_in_fp8_has_larger_blocks(cache_dtype: str, block: int) -> None:
    assert cache("DeepSeek-V3", tensor_parallel_size=8, kv_cache_dtype=cache_dtype).groups[0].block == block


def test_a_state_makes_the_blocks_of_attention_larger() -> None:
    # vLLM logs for this model: "Setting attention block size to 544 tokens".
    divided = cache("Qwen3-Next-80B-A3B-Instruct")
    assert {group.block for group in divided.groups} == {544}
    assert [group.state for group in divided.groups] == [True, True, True, False]
    assert divided.needed_blocks(54400) == 100 + 3


def test_an_index_of_sparse_attention_is_kept_for_each_token() -> None:
    divided = cache("DeepSeek-V3.2", tensor_parallel_size=8)
    assert divided.groups[0].block == 64
    assert divided.size == 64 * 61 * ((512 + 64) * 2 + 128 + 4)


def test_the_longest_sequence_is_the_last_that_fits() -> None:
    divided = cache("Llama-3.1-8B-Instruct")
    # vLLM 0.25.1 logged for 7.65 GiB: "the estimated maximum model length is 62656".
    assert divided.longest(round(7.65 * GIB), 131072) == pytest.approx(62656, abs=64)
    assert divided.longest(0, 131072) == 0
    assert divided.tokens(divided.size * 10, 160) == 160


def test_stages_of_a_pipeline_keep_their_own_layers() -> None:
    shape = model("Qwen2.5-7B-Instruct")
    both = chosen(shape, pipeline_parallel_size=2)
    assert kv.cache(shape, both, 0, 14).size * 2 == cache("Qwen2.5-7B-Instruct").size


# -- weights


def test_ranks_share_matrices_and_replicate_few_heads() -> None:
    one, two = loaded("Qwen3-235B-A22B"), loaded("Qwen3-235B-A22B", tensor_parallel_size=2)
    assert two == pytest.approx(one / 2, rel=0.005)
    shape = model("Qwen2.5-7B-Instruct")
    eight = chosen(shape, tensor_parallel_size=8)
    keys = Tensor("model.layers.0.self_attn.k_proj.weight", "BF16", (512, 3584))
    assert weights._share(keys, shape, eight) == 512 * 3584 * 2 / 4


def test_a_tied_table_is_loaded_once() -> None:
    shape = model("Qwen2.5-0.5B")
    table = Tensor("lm_head.weight", "BF16", (151936, 896))
    tensors = published(shape)
    without = weights.stages(tensors, shape, chosen(shape))
    assert weights.stages([*tensors, table], shape, chosen(shape)) == without


def test_layers_for_drafting_are_loaded_for_drafting_only() -> None:
    plain = loaded("GLM-4.5-Air", tensor_parallel_size=4)
    drafting = {"method": "mtp", "num_speculative_tokens": 1}
    assert loaded("GLM-4.5-Air", tensor_parallel_size=4, speculative=drafting) > plain + GIB


def test_experts_that_are_alike_are_one_tensor() -> None:
    names = [
        f"model.layers.{layer}.mlp.experts.{number}.up_proj.weight" for layer in (0, 1) for number in range(9)
    ]
    tensors = [Tensor(name, "BF16", (4, 4)) for name in names]
    found = grouped(tensors)
    assert [tensor.count for tensor in found] == [9, 9]
    assert size(found) == size(tensors)


def test_a_pipeline_splits_the_layers() -> None:
    one = loaded("Llama-3.1-70B-Instruct")
    assert loaded("Llama-3.1-70B-Instruct", pipeline_parallel_size=4) < one / 3.7


@pytest.mark.parametrize(
    ("quantization", "share"),
    [
        ({"quant_method": "fp8", "weight_block_size": [128, 128]}, 0.5),
        ({"quant_method": "awq", "bits": 4, "group_size": 128}, 0.26),
        ({"quant_method": "gptq", "bits": 4, "group_size": 128}, 0.26),
        ({"quant_method": "compressed-tensors", "config_groups": {"g": {"weights": {"num_bits": 8}}}}, 0.5),
        (
            {
                "quant_method": "compressed-tensors",
                "config_groups": {"g": {"weights": {"num_bits": 4, "group_size": 128}}},
            },
            0.26,
        ),
        ({"quant_method": "modelopt", "quantization": {"quant_algo": "NVFP4"}}, 0.28),
    ],
)
def test_quantized_matrices_are_smaller(quantization: dict[str, Any], share: float) -> None:
    shape = model("Llama-3.1-70B-Instruct", quantization_config=quantization)
    tables = 2 * 2 * 128256 * 8192
    whole = size(published(model("Llama-3.1-70B-Instruct"))) - tables
    assert (size(published(shape)) - tables) / whole == pytest.approx(share, abs=0.01)


def test_modules_that_a_quantization_leaves_out_keep_their_size() -> None:
    group = {"g": {"weights": {"num_bits": 4, "group_size": 32}}}
    quantization = {"quant_method": "compressed-tensors", "config_groups": group}
    ignored = {**quantization, "ignore": ["re:.*self_attn.*", "model.layers.3.mlp"]}
    kept = {
        tensor.name
        for tensor in published(model("Qwen3-8B", quantization_config=ignored))
        if tensor.name.endswith("_proj.weight")
    }
    assert "model.layers.7.self_attn.q_proj.weight" in kept
    assert "model.layers.3.mlp.up_proj.weight" in kept
    assert "model.layers.30.mlp.up_proj.weight" not in kept


def test_weights_that_are_quantized_at_the_start_take_less() -> None:
    assert loaded("Qwen2.5-7B-Instruct", quantization="fp8") / GIB == pytest.approx(8.2, rel=0.02)


def test_float32_doubles_what_16_bits_take() -> None:
    shape = model("Qwen2.5-7B-Instruct")
    tensors = [Tensor("model.layers.0.mlp.up_proj.weight", "F32", (1024, 1024))]
    small = weights.stages(tensors, shape, chosen(shape))[0].weights
    large = weights.stages(tensors, shape, chosen(shape, dtype="float32"))[0].weights
    assert large == 2 * small


def test_adapters_take_memory() -> None:
    few = loaded("Qwen2.5-7B-Instruct", extra_args=["--enable-lora"])
    many = loaded("Qwen2.5-7B-Instruct", extra_args=["--enable-lora", "--max-loras=4", "--max-lora-rank=64"])
    plain = loaded("Qwen2.5-7B-Instruct")
    assert (many - plain) == pytest.approx(16 * (few - plain), rel=0.001)
    assert few > plain


def test_an_encoder_that_no_input_needs_is_not_loaded() -> None:
    whole = loaded("gemma-3-27b-it")
    text = loaded("gemma-3-27b-it", extra_args=["--limit-mm-per-prompt", '{"image": 0}'])
    assert whole - text == pytest.approx(2 * 423_000_000, rel=0.02)


def test_experts_are_spread_over_copies_too() -> None:
    copies = {"data_parallel_size": 8, "extra_args": ["--enable-expert-parallel"]}
    spread, alone = loaded("DeepSeek-V3", **copies), loaded("DeepSeek-V3", tensor_parallel_size=8)
    # What is no expert is whole in each copy.
    assert alone < spread < 1.3 * alone


def test_a_model_that_drafts_takes_weights_and_cache() -> None:
    shape, where = model("Qwen2.5-7B-Instruct"), named("H100")
    asked = service(speculative={"model": "small", "num_speculative_tokens": 3})
    plain = foresee(shape, None, service(), where, RELEASE)
    drafting = foresee(shape, None, asked, where, RELEASE, draft=Draft(model("Qwen2.5-0.5B"), None))
    assert (drafting.weights or 0) - (plain.weights or 0) == pytest.approx(494_032_768 * 2, rel=0.02)
    assert (drafting.needed or 0) / (plain.needed or 1) == pytest.approx((57344 + 12288) / 57344)
    assert foresee(shape, None, asked, where, RELEASE).verdict == "uncertain"


# -- the context


YARN = {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 32768}


@pytest.mark.parametrize(
    ("changes", "longest", "usual"),
    [
        ({}, 40960, 40960),
        ({"rope_scaling": YARN}, 131072, 131072),
        ({"rope_scaling": {"type": "linear", "factor": 2.0}}, 81920, 81920),
        ({"rope_scaling": {"rope_type": "llama3", "factor": 8.0}}, 40960, 40960),
        ({"rope_scaling": {"type": "longrope"}, "original_max_position_embeddings": 4096}, 40960, 4096),
        ({"rope_parameters": {"full_attention": {"rope_type": "linear", "factor": 2.0}}}, 81920, 81920),
        ({"max_position_embeddings": None}, 2048, 2048),
    ],
)
def test_how_long_a_context_is(changes: dict[str, Any], longest: int, usual: int) -> None:
    found = model("Qwen3-8B", **changes)
    assert (found.context, found.length) == (longest, usual)


# -- settings


@pytest.mark.parametrize(
    ("gpu", "release", "utilization", "sequences", "batched"),
    [
        ("H100", "0.25.1", 0.92, 1024, 8192),
        ("A100", "0.25.1", 0.92, 256, 2048),
        ("L4", "0.19.1", 0.9, 256, 2048),
    ],
)
def test_defaults_are_those_of_the_release_and_the_card(
    gpu: str, release: str, utilization: float, sequences: int, batched: int
) -> None:
    found = chosen(model("Qwen3-8B"), gpu, Version(release))
    assert (found.utilization, found.sequences, found.batched) == (utilization, sequences, batched)


# -- the verdict


def test_a_model_larger_than_the_card_does_not_fit() -> None:
    found = fit("Qwen2.5-72B-Instruct")
    assert found.verdict == "does_not_fit"
    assert [finding.code for finding in found.findings] == ["gpu-memory"]


def test_what_may_fit_says_both_ends() -> None:
    found = fit("Qwen3-32B", max_model_len=40960)
    assert found.verdict == "uncertain"
    assert found.needed == 10 * GIB
    assert found.cache.least < found.needed < found.cache.most


def test_a_fixed_cache_is_taken_as_it_is() -> None:
    found = fit("Qwen2.5-7B-Instruct", extra_args=["--kv-cache-memory-bytes", str(8 * GIB)])
    assert found.cache.usual == 8 * GIB
    assert found.tokens == 8 * GIB // (57344 * 16) * 16


def test_a_fixed_cache_has_to_fit_beside_the_weights() -> None:
    found = fit("Qwen2.5-7B-Instruct", extra_args=["--kv-cache-memory-bytes", str(70 * GIB)])
    assert found.verdict == "does_not_fit"


def test_a_shorter_context_is_proposed_as_long_as_it_fits() -> None:
    shape, where = model("Llama-3.1-8B-Instruct"), named("RTX-4090")
    foreseen = partial(foresee, shape, None, card=where, release=RELEASE)
    found = foreseen(service())
    ways = list(remedies(found, shape, service(), where, foreseen))
    length = next(way.fields["max_model_len"] for way in ways if "max_model_len" in way.fields)
    assert length % 1024 == 0
    assert 0.9 * (found.longest or 0) < length <= (found.longest or 0)


def test_the_engine_may_choose_the_length() -> None:
    found = fit("Llama-3.1-8B-Instruct", "RTX-4090", max_model_len="auto")
    assert found.verdict == "fits"
    assert found.longest is not None
    assert 40_000 < found.longest < 131_072


@pytest.mark.parametrize(
    ("gpu", "fields", "code"),
    [
        ("H100", {"tensor_parallel_size": 3}, "parallel-size"),
        ("H100", {"max_model_len": 200_000}, "context-length"),
        ("T4", {"dtype": "bfloat16"}, "gpu-too-old"),
        ("H100", {"gpu_memory_utilization": 1.0}, "gpu-memory"),
    ],
)
def test_what_the_engine_refuses_before_it_loads(gpu: str, fields: dict[str, Any], code: str) -> None:
    found = fit("Qwen2.5-7B-Instruct", gpu, **fields)
    assert found.verdict == "does_not_fit"
    assert code in [finding.code for finding in found.findings]


FP8 = {"quant_method": "fp8", "weight_block_size": [128, 128]}
AWQ = {"quant_method": "awq", "bits": 4, "group_size": 128}


@pytest.mark.parametrize(
    ("name", "changes", "fields", "what"),
    [
        ("phi-4", {}, {"tensor_parallel_size": 4}, "10 heads of keys and values"),
        (
            "Qwen3-30B-A3B",
            {"quantization_config": FP8},
            {"tensor_parallel_size": 4},
            "768 columns of an expert",
        ),
        ("Qwen2.5-72B-Instruct", {"quantization_config": AWQ}, {"tensor_parallel_size": 8}, "29,568 columns"),
    ],
)
def test_what_cannot_be_divided(
    name: str, changes: dict[str, Any], fields: dict[str, Any], what: str
) -> None:
    found = foresee(model(name, **changes), None, service(**fields), named("H200"), RELEASE)
    assert found.verdict == "does_not_fit"
    assert any(each.code == "parallel-size" and what in each.message for each in found.findings)


def test_experts_that_are_spread_whole_need_not_be_divided() -> None:
    asked = service(tensor_parallel_size=4, extra_args=["--enable-expert-parallel"])
    found = foresee(model("Qwen3-30B-A3B", quantization_config=FP8), None, asked, named("H200"), RELEASE)
    assert found.verdict == "fits"


def test_neighbours_on_the_card_count() -> None:
    shape, asked, where = model("Qwen2.5-7B-Instruct"), service(), named("H100")
    alone = foresee(shape, None, asked, where, RELEASE)
    beside = foresee(shape, None, asked, where, RELEASE, taken=Taken(Range.exactly(20 * GIB), "another"))
    assert (alone.verdict, beside.verdict) == ("fits", "does_not_fit")


def tried(name: str, release: str, *flags: str, **fields: Any) -> Range:
    """What a step takes with the encoder before it."""
    shape = model(name)
    return foresee(
        shape, None, service(extra_args=list(flags), **fields), named("H100"), Version(release)
    ).overhead.activation


def test_an_encoder_is_tried_with_the_largest_film_or_image() -> None:
    # A film has 7 x 16384 tokens, an image 16384 (`get_mm_max_tokens_per_item`), of four patches each.
    film = tried("Qwen2.5-VL-7B", "0.24.0")
    image = tried("Qwen2.5-VL-7B", "0.24.0", '--limit-mm-per-prompt={"video": 0}')
    none = tried("Qwen2.5-VL-7B", "0.24.0", "--limit-mm-per-prompt", '{"image": 0, "video": 0}')
    assert film.usual > 6 * image.usual
    assert film.least > image.most
    assert image.usual > none.usual
    short = tried("Qwen2.5-VL-7B", "0.24.0", max_model_len=16384)
    assert short == image


def test_the_second_runner_tries_no_encoder_before_0_32() -> None:
    without = '--limit-mm-per-prompt={"image": 0}'
    assert tried("gemma-3-4b-it", "0.25.1") == tried("gemma-3-4b-it", "0.25.1", without)
    between, later = tried("gemma-3-4b-it", "0.28.0"), tried("gemma-3-4b-it", "0.32.0")
    assert between.usual == tried("gemma-3-4b-it", "0.28.0", without).usual
    assert between.most > GIB
    assert later.usual > between.usual


def test_films_are_left_out_where_that_makes_it_fit() -> None:
    shape, large = model("Qwen2.5-VL-7B"), named("L40S")
    asked = service()
    foreseen = partial(foresee, shape, None, card=large, release=Version("0.24.0"))
    found = foreseen(asked)
    assert found.verdict != "fits"
    changes = [each.fields for each in remedies(found, shape, asked, large, foreseen)]
    assert {"extra_args": ['--limit-mm-per-prompt={"video": 0}']} in changes


def test_an_encoder_of_texts_takes_no_share_of_the_card() -> None:
    found = fit("bge-m3", "L4")
    assert (found.verdict, found.tokens, found.needed, found.longest) == ("fits", None, 0, 8194)
    assert found.held.most < 4 * GIB
    beside = Taken(Range.exactly(6 * GIB), "another takes 6 GiB")
    shared = foresee(
        model("bge-m3"), None, service(gpu_memory_utilization=0.5), named("L4"), RELEASE, taken=beside
    )
    assert shared.verdict == "fits"


def test_a_decoder_with_another_head_has_the_layers_of_the_decoder() -> None:
    shape = model("Qwen3-8B", architectures=["Qwen3ForSequenceClassification"])
    assert shape.family == model("Qwen3-8B").family
    assert shape.keeps


def test_layers_that_use_the_keys_of_others_keep_none() -> None:
    shape = model("gemma-3n-E4B-text")
    kept = [mixer.kept for mixer in shape.mixers if isinstance(mixer, Heads)]
    assert (len(kept), sum(kept)) == (35, 20)


def test_a_layer_may_attend_beside_its_state() -> None:
    layer = model("Falcon-H1-7B").layers[0]
    assert [type(mixer).__name__ for mixer in layer.mixers] == ["Heads", "State"]


def test_layers_of_nemotron_may_be_named_in_a_list() -> None:
    kinds = {"M": "mamba", "*": "attention", "-": "mlp"}
    pattern = MODELS["Nemotron-H-8B"]["config"]["hybrid_override_pattern"]
    listed = model(
        "Nemotron-H-8B", hybrid_override_pattern=None, layers_block_type=[kinds[each] for each in pattern]
    )
    assert listed.layers == model("Nemotron-H-8B").layers


def test_some_weights_are_known_from_the_files_only() -> None:
    shape = model("Zamba2-7B")
    found = foresee(shape, None, service(), named("H100"), RELEASE)
    assert (found.verdict, found.weights, found.tokens) == ("uncertain", None, None)
    assert [finding.code for finding in found.findings] == ["weights-not-known"]
    listed = foresee(
        shape, [Tensor("model.weight", "BF16", (7_000_000, 1000))], service(), named("H100"), RELEASE
    )
    assert listed.verdict == "fits"
    # vLLM's own class gives 20 GiB room for 52,851 tokens (tests/gpu/build.py).
    divided = kv.cache(shape, chosen(shape), 0, len(shape.layers))
    assert divided.tokens(20 * GIB, 4096) == 52_851


def test_what_speaks_is_not_loaded_and_sound_is_heard_whole() -> None:
    shape = model("Qwen2.5-Omni-7B")
    tensors = [
        Tensor("talker.model.layers.0.mlp.up_proj.weight", "BF16", (1000, 1000)),
        Tensor("thinker.audio_tower.layers.31.fc1.weight", "BF16", (1000, 1000)),
    ]
    two = chosen(shape, tensor_parallel_size=2)
    (stage,) = weights.stages(tensors, shape, two)
    assert stage.weights == 2_000_000 + weights._beside(shape, two, 0, len(shape.layers))


def test_an_unknown_architecture_is_not_guessed_at() -> None:
    shape = model("Qwen3-8B", architectures=["NewForCausalLM"])
    found = foresee(shape, None, service(), named("H100"), RELEASE)
    assert found.verdict == "uncertain"
    assert found.weights is found.tokens is found.longest is None
    assert [finding.code for finding in found.findings] == ["no-class", "shape-not-known"]
    tensors = [Tensor("model.layers.0.mlp.up_proj.weight", "BF16", (2**20, 2**17))]
    assert foresee(shape, tensors, service(), named("H100"), RELEASE).verdict == "does_not_fit"


def test_a_config_that_lacks_its_shape_says_so() -> None:
    with pytest.raises(UnknownShape, match="num_hidden_layers"):
        read({"architectures": ["Qwen3ForCausalLM"], "hidden_size": 8, "num_attention_heads": 2})
    with pytest.raises(UnknownShape, match="ring_attention"):
        model("Qwen3-8B", layer_types=["ring_attention"] * 36)


@pytest.mark.parametrize(
    "name", ["Qwen3-VL-8B-Instruct", "DeepSeek-V3", "granite-4.0-h-tiny", "Hunyuan-A13B"]
)
@pytest.mark.parametrize("value", [None, 0, "x", [], {}])
def test_a_config_with_values_of_another_form_is_read_or_refused(name: str, value: Any) -> None:
    parts = ("text_config", "vision_config", "quantization_config")
    for part in (None, *(each for each in parts if each in MODELS[name]["config"])):
        whole = MODELS[name]["config"]
        for key in whole[part] if part else whole:
            changes = {part: {**whole[part], key: value}} if part else {key: value}
            try:
                shape = model(name, **changes)
            except UnknownShape:
                continue
            assert foresee(shape, None, service(), named("H100"), RELEASE).verdict


def test_every_remedy_makes_it_fit() -> None:
    shape, asked, where = model("Qwen3-32B"), service(), named("H100")
    foreseen = partial(foresee, shape, None, card=where, release=RELEASE)
    found = foreseen(asked)
    ways = list(remedies(found, shape, asked, where, foreseen))
    assert ways
    for way in ways:
        changed = asked.model_copy(update=way.fields)
        assert foresee(shape, None, changed, where, RELEASE).verdict == "fits"


def test_a_wider_range_for_a_release_that_was_not_measured() -> None:
    shape, where = model("Qwen2.5-7B-Instruct"), named("H100")
    measured, other = (
        foresee(shape, None, service(), where, Version(version)) for version in ("0.25.1", "0.12.0")
    )
    assert "release-not-measured" in [finding.code for finding in other.findings]
    assert measured.cache.most - measured.cache.least < other.cache.most - other.cache.least


# -- cards


@pytest.mark.parametrize(
    ("written", "name"),
    [
        ("h100", "H100"),
        ("NVIDIA H100 80GB HBM3", "H100"),
        ("NVIDIA H200", "H200"),
        ("A100-SXM4-40GB", "A100-40GB"),
        ("NVIDIA A100-SXM4-80GB", "A100"),
        ("NVIDIA GeForce RTX 4090", "RTX-4090"),
        ("rtx4090", "RTX-4090"),
        ("Tesla V100-SXM2-16GB", "V100-16GB"),
        ("Tesla T4", "T4"),
        ("L40S", "L40S"),
        ("NVIDIA A10", "A10"),
        ("A1", None),
        ("L400", None),
    ],
)
def test_cards_are_known_by_any_of_their_names(written: str, name: str | None) -> None:
    found = card(written)
    assert (found.name if found else None) == name


def test_what_cards_compute() -> None:
    assert {name for name, each in cards().items() if not each.bfloat16} == {"V100", "V100-16GB", "T4"}
    assert all(each.float8 == (each.capability >= (8, 9)) for each in cards().values())
    assert named("H200").total == round(139.8 * GIB)
