"""What is foreseen of each recorded start agrees with what the engine logged."""

from __future__ import annotations

import pytest

from provision.kinds.common.cards import GIB
from provision.kinds.vllm.memory import kv
from tests.gpu import accuracy
from tests.gpu.starts import Start, starts

STARTS = list(starts())
ENDED = [start for start in STARTS if start.run["started"] is not None]
STARTED = [start for start in ENDED if start.run["started"] and start.run["available_kv_cache_gib"]]


def named(start: Start) -> str:
    return start.name


def test_there_are_starts() -> None:
    assert len(STARTS) >= 10
    assert any(not start.run["started"] for start in ENDED)


@pytest.mark.parametrize("start", ENDED, ids=named)
def test_the_verdict_is_never_wrong(start: Start) -> None:
    assert start.fit.verdict != ("does_not_fit" if start.run["started"] else "fits")


def test_at_most_one_in_ten_is_uncertain() -> None:
    assert sum(start.fit.verdict == "uncertain" for start in ENDED) <= len(ENDED) / 10


@pytest.mark.parametrize("start", STARTS, ids=named)
def test_weights_are_within_two_percent(start: Start) -> None:
    if start.run["model_loading_gib"] is not None:
        assert start.fit.weights / GIB == pytest.approx(start.run["model_loading_gib"], rel=0.02)


@pytest.mark.parametrize("start", STARTED, ids=named)
def test_the_cache_is_within_three_percent_or_half_a_gib(start: Start) -> None:
    real = start.run["available_kv_cache_gib"]
    assert abs(start.fit.cache.usual / GIB - real) <= max(0.03 * real, 0.5)
    assert start.fit.cache.least / GIB - 0.01 <= real <= start.fit.cache.most / GIB + 0.01


@pytest.mark.parametrize("start", [start for start in STARTED if start.run.get("kv_cache_tokens")], ids=named)
def test_tokens_follow_exactly_from_bytes(start: Start) -> None:
    # The log rounds bytes to 0.01 GiB: the tokens that it gives lie between those of the rounded bytes.
    chosen, real = start.fit.settings, start.run["available_kv_cache_gib"]
    divided = kv.cache(start.model, chosen, 0, len(start.model.layers))
    least, most = (
        divided.tokens(round((real + slack) * GIB), start.fit.length) for slack in (-0.0051, 0.0051)
    )
    assert least <= start.run["kv_cache_tokens"] <= most


def test_the_page_is_made_of_the_starts() -> None:
    page = accuracy.PAGE.read_text(encoding="utf-8")
    assert accuracy.renewed(page) == page, "run `python -m tests.gpu.accuracy`"
