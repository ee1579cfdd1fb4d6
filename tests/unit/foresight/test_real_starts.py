"""What is foreseen of starts that were tried on real GPUs (`tests/gpu/records`), alone and beside others."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from provision.foresight.stated import SURE
from provision.kinds.common.cards import GIB, Card, card
from provision.kinds.common.demand import Asked, Demand, Range, Taken
from provision.kinds.registry import KINDS
from provision.kinds.vllm.fields import VllmService
from provision.wire.figures import Figures
from provision.wire.finding import ERROR
from provision.wire.survey import Described
from tests.gpu.starts import Start, starts

STARTS = list(starts())
RAN = [start for start in STARTS if start.run["started"]]
VERDICTS = {"fits": 0, "uncertain": 1, "does_not_fit": 2}


def demand(start: Start, others: float = 0, learned: Figures | None = None) -> Demand:
    """Return what is foreseen of a start beside others that hold so many GiB."""
    fields = {"kind": "vllm", "environment": "e", "model": "m", **start.run["args"]}
    found = card(start.gpu)
    assert found
    said = Described(path="/m", source="m", config=start.config, tensors=None)
    taken = Taken(Range.exactly(round(others * GIB)), "another" if others else "")
    foresee = KINDS["vllm"].demand
    assert foresee
    return foresee(
        Asked(
            VllmService.model_validate(fields),
            found,
            release=start.fit.settings.release,
            models={"m": said},
            taken=taken,
            learned=learned,
        )
    )


@pytest.mark.parametrize("start", RAN, ids=lambda start: start.name)
def test_a_start_that_ran_is_not_refused(start: Start) -> None:
    assert [each.finding for each in demand(start).findings if each.finding.severity == ERROR] == []


@pytest.mark.parametrize(
    "start", [each for each in STARTS if each.run["started"] is False], ids=lambda start: start.name
)
def test_a_start_that_was_refused_is_not_said_to_fit(start: Start) -> None:
    assert demand(start).verdict != "fits"


def used(start: Start) -> int:
    """Return the bytes of a GPU in use after a start, as nvidia-smi said; 0 where it was not asked."""
    found = start.run.get("gpu_memory_used_after_start_mib") or 0
    return max(found if isinstance(found, list) else [found]) * 2**20


@pytest.mark.parametrize("start", [each for each in RAN if used(each)], ids=lambda start: start.name)
def test_what_a_service_holds_is_within_its_range(start: Start) -> None:
    holds = demand(start).holds
    assert holds.least <= used(start) <= holds.most
    assert used(start) == pytest.approx(holds.usual, abs=2.7 * GIB)


@given(st.sampled_from(RAN), st.floats(0, 150), st.floats(0, 150))
@settings(max_examples=60, deadline=None)
def test_more_that_is_taken_never_makes_it_fit(start: Start, one: float, other: float) -> None:
    less, more = sorted((one, other))
    assert VERDICTS[demand(start, less).verdict] <= VERDICTS[demand(start, more).verdict]


@given(st.sampled_from(RAN), st.floats(0, 1))
@settings(max_examples=50, deadline=None)
def test_what_ran_runs_beside_others_as_long_as_its_share_is_surely_free(start: Start, part: float) -> None:
    """What nobody can compute, such as the memory of a CUDA context, is at most some GiB."""
    wanted = max(start.fit.held.most, _card(start).total * start.fit.settings.utilization)
    spare = max(_card(start).total - wanted - 2 * GIB, 0) / GIB
    assert demand(start, spare * part).verdict != "does_not_fit"


@given(st.sampled_from(STARTS), st.floats(0, 0.95))
@settings(max_examples=50, deadline=None)
def test_what_was_logged_is_refused_only_for_others(start: Start, part: float) -> None:
    figures = Figures(seconds=40.0, weights=GIB, cache=GIB, tokens=1000, length=100, sequences=10.0)
    others = part * _card(start).total / GIB
    found = demand(start, others, figures)
    assert all(each.finding.code in ("gpu-taken", "gpu-memory", "may-not-fit") for each in found.findings)
    free = _card(start).total * (1 - part)
    share = _card(start).total * start.fit.settings.utilization
    if found.verdict == "does_not_fit":
        assert share > free - GIB
    if share > free:
        assert found.verdict == "does_not_fit"


def _card(start: Start) -> Card:
    found = card(start.gpu)
    assert found
    return found


@pytest.mark.parametrize("start", [each for each in RAN if used(each)], ids=lambda start: start.name)
def test_no_engine_holds_much_less_than_its_share(start: Start) -> None:
    """So shares whose sum is above 1 by more than that cannot run side by side, whatever their models."""
    if start.fit.settings.cache is None:
        assert used(start) >= (start.fit.settings.utilization - SURE) * _card(start).total
