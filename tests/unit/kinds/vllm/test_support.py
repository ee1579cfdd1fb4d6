"""Whether a release of vLLM has a class for a model."""

from __future__ import annotations

from dataclasses import replace

import pytest
from packaging.version import Version

from provision.engines.vllm import architectures
from provision.kinds.vllm.memory.families import FAMILIES, WRAPPERS
from provision.kinds.vllm.memory.support import support
from tests.unit.kinds.vllm.test_memory import fit, model


def findings(name: str, release: str, own_code: bool = False) -> list[tuple[str, str, str | None]]:
    shape = replace(model("Qwen3-8B"), name=name, own_code=own_code)
    return [(each.code, each.message, each.hint) for each in support(shape, Version(release), False)]


def test_a_release_that_is_older_than_the_model_names_the_first_that_is_not() -> None:
    ((code, message, hint),) = findings("GptOssForCausalLM", "0.10.0")
    assert (code, message) == (
        "unknown-architecture",
        "vLLM 0.10.0 does not know the architecture GptOssForCausalLM; 0.10.1 does",
    )
    assert hint == "pin vllm 0.10.1 or later in the environment"


@pytest.mark.parametrize("release", ["0.10.1", "0.25.1", "1.0.0"])
def test_later_releases_know_it(release: str) -> None:
    assert findings("GptOssForCausalLM", release) == []


def test_a_release_between_two_that_were_read_is_not_judged() -> None:
    # 0.8.0 lacks Qwen3, 0.8.5 has it; 0.8.4 was not read.
    assert findings("Qwen3ForCausalLM", "0.8.4") == []


@pytest.mark.parametrize(
    ("name", "release", "why"),
    [
        ("MiniMaxText01ForCausalLM", "0.25.1", "it had one before 0.24.0"),
        ("Qwen9ForCausalLM", "0.25.1", "has no class for Qwen9ForCausalLM"),
    ],
)
def test_a_model_without_a_class_may_run_by_transformers(name: str, release: str, why: str) -> None:
    ((code, message, hint),) = findings(name, release)
    assert code == "no-class"
    assert why in message
    assert hint is None
    assert "trust_remote_code" in (findings(name, release, own_code=True)[0][2] or "")


def test_a_classifier_is_taken_for_its_model_with_another_head() -> None:
    assert findings("Qwen3ForSequenceClassification", "0.25.1") == []


def test_what_does_not_start_at_all_does_not_fit() -> None:
    shape = model("gpt-oss-20b")
    assert fit("gpt-oss-20b").verdict == "fits"
    assert [each.severity for each in support(shape, Version("0.9.2"), False)] == ["error"]


def test_vllm_had_a_class_for_each_known_family() -> None:
    assert all(architectures.span(name) for name in [*FAMILIES, *WRAPPERS])
