"""How far a host's clock is off, when nobody knows how long its word was on the way."""

from __future__ import annotations

import pytest

from provision.transport.clock import finding, skew


@pytest.mark.parametrize(
    ("told", "ahead"),
    [(100.0, 0.0), (101.5, 0.0), (102.0, 0.0), (99.0, -1.0), (102.5, 0.5), (9000.0, 8898.0), (0.0, -100.0)],
)
def test_what_the_way_may_explain_does_not_count(told: float, ahead: float) -> None:
    assert skew(told, begun=100.0, heard=102.0) == ahead


@pytest.mark.parametrize(
    ("ahead", "words"),
    [
        (60.0, None),
        (-60.0, None),
        (61.0, "1 min 1 s ahead of"),
        (-7200.0, "2 h behind"),
        (90061.0, "1 d 1 h ahead of"),
    ],
)
def test_a_minute_is_bearable(ahead: float, words: str | None) -> None:
    told = finding(ahead)
    said = told.message if told else None
    assert said == (f"the clock of this host is {words} the controller's" if words else None)
    assert told is None or told.severity == "warning"
