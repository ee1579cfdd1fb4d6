"""What is known of vLLM's flags, and what becomes of a service's fields in each release."""

from __future__ import annotations

import pytest
from packaging.version import Version

from provision.engines.vllm import releases
from provision.engines.vllm.successors import SUCCESSORS
from provision.kinds.vllm.arguments import FIELD_OF, FIELDS, flag_of, render
from provision.kinds.vllm.extra_args import check, deprecations
from provision.kinds.vllm.tokens import tokens

NEWEST = Version("0.33.0")


def flags(version: str, **fields: object) -> list[tuple[str, ...]]:
    found, refusals = render(fields, "/m", Version(version))
    assert refusals == []
    return found[1:]


def refusal(version: str, *arguments: str) -> str:
    (found,) = check(arguments, Version(version))
    return f"{found.where[1]}: {found.message}" + (f"; {found.hint}" if found.hint else "")


class TestReleases:
    def test_a_version_between_two_known_ones_is_taken_for_the_lower(self) -> None:
        assert releases.nearest(Version("0.11.1")) == Version("0.11.0")

    def test_a_version_after_the_newest_is_taken_for_the_newest(self) -> None:
        assert releases.nearest(Version("1.4")) == releases.newest() == NEWEST

    def test_a_version_before_the_oldest_is_taken_for_the_oldest(self) -> None:
        assert releases.nearest(Version("0.6.3")) == releases.oldest() == Version("0.8.0")

    @pytest.mark.parametrize("text", ["0.18.0+cu128", "0.18.0rc1", "0.18.0.post1"])
    def test_local_parts_and_pre_releases_count_as_their_release(self, text: str) -> None:
        assert "--shutdown-timeout" in releases.known(Version(text))

    def test_versions_are_in_order(self) -> None:
        assert list(releases.versions()) == sorted(releases.versions())

    def test_a_flag_that_came_back_is_absent_in_between(self) -> None:
        has = ["--disable-log-requests" in releases.known(Version(v)) for v in ("0.16.0", "0.17.0", "0.33.0")]
        assert has == [True, False, True]

    def test_each_field_is_a_flag_of_the_newest_release_or_says_that_it_is_none(self) -> None:
        forgotten = [name for name in FIELDS if flag_of(name) not in releases.known(NEWEST)]
        assert not forgotten, "no release has such a flag: mark the field as `NoFlag()`, and say it in render"

    def test_successors_name_only_flags_that_exist(self) -> None:
        for flag, hint in SUCCESSORS.items():
            assert releases.history(flag), flag
            for word in hint.replace(",", " ").replace(")", " ").replace("(", " ").replace(":", " ").split():
                if word.startswith("--") and word != flag:
                    assert releases.history(word.partition(".")[0]), (flag, word)

    def test_types_behind_an_annotation_are_read(self) -> None:
        chunked = releases.form("--enable-chunked-prefill", Version("0.11.0"))
        assert chunked is not None
        assert chunked.switch
        assert chunked.negatable
        block = releases.form("--block-size", Version("0.11.0"))
        assert block is not None
        assert block.choices == (1, 8, 16, 32, 64, 128)

    def test_short_flags_stand_for_known_ones(self) -> None:
        assert all(releases.history(flag) for flag in releases.short().values())


class TestFields:
    @pytest.mark.parametrize(
        ("version", "value", "expected"),
        [
            ("0.8.0", False, [("--disable-log-requests",)]),
            ("0.10.0", False, [("--disable-log-requests",)]),
            ("0.10.0", True, []),
            ("0.10.1", False, []),
            ("0.10.1", True, [("--enable-log-requests",)]),
            ("0.17.0", False, []),
            ("0.33.0", False, []),
            ("0.33.0", True, [("--enable-log-requests",)]),
        ],
    )
    def test_request_logging_in_the_words_of_the_release(
        self, version: str, value: bool, expected: list[tuple[str, ...]]
    ) -> None:
        assert flags(version, log_requests=value) == expected

    def test_the_hand_made_start_command(self) -> None:
        assert flags(
            "0.33.0",
            served_model_name="YHGPT-14B-v2.0-beta",
            tensor_parallel_size=2,
            gpu_memory_utilization=0.9,
            host="0.0.0.0",
            port=8002,
            max_num_seqs=32,
            max_model_len=8192,
            dtype="float16",
            log_requests=False,
            log_stats=False,
            uvicorn_log_level="warning",
        ) == [
            ("--served-model-name", "YHGPT-14B-v2.0-beta"),
            ("--host", "0.0.0.0"),
            ("--port", "8002"),
            ("--tensor-parallel-size", "2"),
            ("--gpu-memory-utilization", "0.9"),
            ("--max-num-seqs", "32"),
            ("--max-model-len", "8192"),
            ("--dtype", "float16"),
            ("--uvicorn-log-level", "warning"),
            ("--disable-log-stats",),
        ]

    def test_an_api_key_never_becomes_a_flag(self) -> None:
        assert flags("0.33.0", api_key="sk-1") == []

    def test_booleans(self) -> None:
        assert flags("0.33.0", enable_prefix_caching=False) == [("--no-enable-prefix-caching",)]
        assert flags("0.33.0", enable_prefix_caching=True) == [("--enable-prefix-caching",)]
        assert flags("0.8.0", enforce_eager=False, trust_remote_code=True) == [("--trust-remote-code",)]

    def test_several_served_names(self) -> None:
        assert flags("0.33.0", served_model_name=["a", "b"]) == [("--served-model-name", "a", "b")]

    def test_a_value_that_looks_like_a_flag_stays_a_value(self) -> None:
        assert flags("0.33.0", chat_template="--port") == [("--chat-template=--port",)]

    def test_reasoning_needs_its_second_flag_only_in_old_releases(self) -> None:
        assert ("--enable-reasoning",) in flags("0.8.5", reasoning_parser="deepseek_r1")
        assert flags("0.9.0", reasoning_parser="deepseek_r1") == [("--reasoning-parser", "deepseek_r1")]

    def test_a_value_that_the_release_does_not_take_is_refused(self) -> None:
        _, refusals = render({"dtype": "flaot16", "kv_cache_dtype": "fp8"}, "/m", Version("0.33.0"))
        assert [(r.code, r.where, r.message, r.hint) for r in refusals] == [
            (
                "flag-value",
                ("dtype",),
                "dtype wants one of auto, bfloat16, float, float16, float32, half, found 'flaot16'",
                "did you mean float16?",
            )
        ]

    def test_a_field_that_is_off_can_be_turned_off_in_each_release(self) -> None:
        for field, mark in FIELDS.items():
            for version in releases.versions():
                form = releases.form(flag_of(field), version)
                assert form is None or not form.switch or mark.switch or form.negatable, (field, version)

    def test_a_field_that_the_release_lacks_is_refused(self) -> None:
        _, refusals = render({"shutdown_timeout": 30.0}, "/m", Version("0.17.1"))
        assert [(r.where, r.message) for r in refusals] == [
            (
                ("shutdown_timeout",),
                "shutdown_timeout (--shutdown-timeout) needs vLLM 0.18.0 or later; "
                "the environment has 0.17.1",
            )
        ]
        assert flags("0.18.0", shutdown_timeout=30.0) == [("--shutdown-timeout", "30")]

    @pytest.mark.parametrize(
        ("value", "expected"),
        [
            (8192, 8192),
            ("8192", 8192),
            ("8k", 8000),
            ("8K", 8192),
            ("1.5k", 1500),
            ("1M", 1048576),
            ("auto", None),
        ],
    )
    def test_lengths_as_vllm_reads_them(self, value: int | str, expected: int | None) -> None:
        assert tokens(value) == expected

    @pytest.mark.parametrize("value", ["8kb", "", "k", "1.5K", "-3", "8 k", "٣"])
    def test_other_lengths_are_refused(self, value: str) -> None:
        with pytest.raises(ValueError, match="not a number of tokens"):
            tokens(value)


class TestExtraArgs:
    @pytest.mark.parametrize(
        "arguments",
        [
            ["--block-size", "16"],
            ["--block-size=16"],
            ["--block_size", "16"],
            ["--enable-lora", "--lora-modules", "a=/x", "b=/y"],
            ["--no-enable-chunked-prefill"],
            ["--compilation-config.mode", "3"],
            ["-cc.mode=3"],
            ["-O3"],
            ["-asc", "2"],
            ["-n4", "-r", "1"],
            ["--kv-cache-memory-bytes", "2M", "--max-num-queued-tokens", "1.5k"],
            ["--enable-lora", "--max-lora-rank", "64"],
            ["--moe-backend", "Flashinfer-Cutlass"],
            ["--hf-token"],
            ["--hf-token", "hf"],
            ["--ssl-ciphers", ""],
            ["--additional-config", "text"],
            ["--kv-transfer-config", '{"kv_role": "kv_both", "cpu_bytes_to_use": 80m}'],
            ["--max-log-len", "-1"],
            ["--default-chat-template-kwargs", '{"enable_thinking": false}'],
        ],
    )
    def test_accepted(self, arguments: list[str]) -> None:
        assert check(arguments, NEWEST) == []

    def test_an_unknown_flag_with_its_neighbour(self) -> None:
        assert refusal("0.33.0", "--blok-size", "16") == (
            "0: vLLM 0.33.0 has no flag --blok-size; did you mean --block-size?"
        )

    def test_an_unknown_flag_whose_neighbour_is_a_field(self) -> None:
        assert "did you mean the field max_num_seqs?" in refusal("0.33.0", "--max-num-sequ", "16")

    def test_a_removed_flag_names_since_when_and_what_instead(self) -> None:
        assert refusal("0.33.0", "--block-size", "16", "--swap-space", "4") == (
            "2: --swap-space was removed in vLLM 0.18.0; the environment has 0.33.0; "
            "leave it out: the V1 engine never swapped the KV cache to memory"
        )
        assert check(["--swap-space", "4"], Version("0.17.1")) == []

    @pytest.mark.parametrize(
        ("flag", "since", "instead"),
        [
            ("--device", "0.10.0", "leave it out"),
            ("--use-v2-block-manager", "0.10.0", "leave it out"),
            ("--num-scheduler-steps", "0.10.1", "leave it out"),
            ("--guided-decoding-backend", "0.12.0", "--structured-outputs-config.backend"),
            ("--task", "0.13.0", "--runner and --convert"),
            ("--rope-scaling", "0.11.2", "--hf-overrides"),
        ],
    )
    def test_the_notable_removals(self, flag: str, since: str, instead: str) -> None:
        text = refusal("0.33.0", flag)
        assert f"was removed in vLLM {since};" in text
        assert instead in text

    def test_a_flag_from_the_future_names_the_release_it_needs(self) -> None:
        assert "needs vLLM 0.33.0 or later" in refusal("0.20.2", "--monokernel", "x")

    def test_a_flag_between_two_lives_was_removed(self) -> None:
        text = refusal("0.31.0", "--enable-cascade-attn")
        assert "needs vLLM 0.33.0 or later" in text
        assert "was removed in vLLM 0.10.0" in refusal("0.26.0", "--expand-tools-even-if-tool-choice-none")

    def test_abbreviations_are_spelt_out(self) -> None:
        assert "write --block-size in full" in refusal("0.33.0", "--block-s", "16")
        assert "use the field max_num_seqs" in refusal("0.33.0", "--max-num-se", "16")

    def test_flags_in_a_file(self) -> None:
        assert "silently ignored" in refusal("0.33.0", "--config=x.yaml")
        assert "hides flags in a file" in refusal("0.8.0", "--config", "x.yaml")
        assert check(["--config", "x.yaml"], NEWEST, foreign=True) == []

    @pytest.mark.parametrize("argument", ["--api-key", "--api_key=sk", "--api-key=sk"])
    def test_an_api_key_is_refused_and_not_repeated(self, argument: str) -> None:
        text = refusal("0.33.0", argument, *(["sk"] if argument == "--api-key" else []))
        assert "use the field api_key" in text
        assert "sk" not in text.replace("api_key", "")

    @pytest.mark.parametrize(
        ("arguments", "field"),
        [
            (["--port", "1"], "port"),
            (["-tp", "2"], "tensor_parallel_size"),
            (["--tensor_parallel_size=2"], "tensor_parallel_size"),
            (["--no-enable-prefix-caching"], "enable_prefix_caching"),
            (["--disable-log-requests"], "log_requests"),
            (["--disable-log-stats"], "log_stats"),
            (["--model", "/x"], "model"),
        ],
    )
    def test_a_flag_with_a_field_of_its_own(self, arguments: list[str], field: str) -> None:
        assert f"use the field {field}" in refusal("0.33.0", *arguments)

    def test_fields_are_refused_whatever_the_release(self) -> None:
        for flag in FIELD_OF:
            for version in releases.versions():
                assert check([flag], version), (flag, version)

    def test_no_form_of_a_flag_without_one(self) -> None:
        assert "has no --no- form" in refusal("0.33.0", "--no-block-size")

    def test_words_that_are_no_flags(self) -> None:
        assert refusal("0.33.0", "16").startswith("0: '16' is not a flag")
        assert "takes no value" in refusal("0.33.0", "--enable-lora", "true")

    def test_a_value_that_is_missing(self) -> None:
        assert refusal("0.33.0", "--block-size") == "0: --block-size needs a value"
        assert "needs a value" in refusal("0.33.0", "--block-size", "--enable-lora")

    @pytest.mark.parametrize(
        ("version", "arguments", "expected"),
        [
            ("0.33.0", ["--block-size", "many"], "1: --block-size wants a whole number, found 'many'"),
            ("0.33.0", ["--block-size=many"], "0: --block-size wants a whole number, found 'many'"),
            ("0.33.0", ["--cpu-offload-gb", "1k"], "1: --cpu-offload-gb wants a number, found '1k'"),
            (
                "0.33.0",
                ["--max-num-queued-tokens", "1.5K"],
                "1: --max-num-queued-tokens wants a whole number before a capital unit; "
                "write 1.5k, or a smaller unit",
            ),
            (
                "0.20.2",
                ["--kv-cache-memory-bytes", "2 M"],
                "1: --kv-cache-memory-bytes wants a whole number, or one with a unit such as 1k or 2M, "
                "found '2 M'",
            ),
            (
                "0.33.0",
                ["--mm-encoder-tp-mode", "dat"],
                "1: --mm-encoder-tp-mode wants one of data, weights, found 'dat'; did you mean data?",
            ),
            (
                "0.33.0",
                ["--block-size", "16", "32"],
                "2: '32' is not a flag after --block-size '16', its only value",
            ),
            (
                "0.33.0",
                ["--enable-lora=true"],
                "0: --enable-lora takes no value; write --enable-lora alone, or leave it out",
            ),
            ("0.33.0", ["--block-size.key", "1"], "0: --block-size takes no keys, as its value is no JSON"),
            (
                "0.8.5",
                ["--compilation-config.level", "3"],
                "0: --compilation-config.level needs vLLM 0.9.0 or later",
            ),
        ],
    )
    def test_values_that_the_release_does_not_take(
        self, version: str, arguments: list[str], expected: str
    ) -> None:
        assert expected in refusal(version, *arguments)

    def test_a_value_of_another_release_names_it(self) -> None:
        assert "vLLM 0.8.5 and later take it" in refusal("0.8.0", "--load-format", "fastsafetensors")

    def test_other_builds_may_take_other_values(self) -> None:
        assert check(["--block-size", "many", "--enable-lora", "true"], NEWEST, foreign=True) == []

    def test_a_flag_that_is_turned_around_belongs_to_its_field(self) -> None:
        assert "use the field enable_prefix_caching" in refusal("0.33.0", "--disable-prefix-caching")

    def test_all_mistakes_at_once(self) -> None:
        found = check(["--swap-space", "4", "--nonsense", "--port=1", "--block-size", "x"], NEWEST)
        assert [refusal.where[1] for refusal in found] == [0, 2, 3, 5]

    def test_deprecated_flags_are_noted(self) -> None:
        (note,) = deprecations(["--task", "embed"], Version("0.12.0"))
        assert "removed in vLLM 0.13.0" in note
        assert "--runner" in note


def test_neighbouring_equal_renderings_are_one_variant() -> None:
    found = releases.variants(lambda version: tuple(render({"log_requests": False}, "/m", version)[0]))
    assert [str(version) for version, _ in found] == ["0.8.0", "0.10.1"]
