"""Who may change when: what hosts are answered as they ask, in whatever order they do and end."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from provision.fleet.waves import Waves
from provision.rollout.turns import Turns
from provision.wire.events import Event, Turn, Wave
from provision.wire.survey import Answer


class Fleet:
    """Turns with what they have answered and told, and a clock that a test moves."""

    def __init__(self, *hosts: str, max_failures: int = 0, pause: float = 0) -> None:
        self.answers: dict[str, Answer] = {}
        self.told: list[Event] = []
        self.pauses: list[float] = []
        self.due: list[Callable[[], object]] = []
        order = tuple(tuple(names.split()) for names in hosts)
        self.turns = Turns(Waves(order, max_failures, pause), self.told.append)

    def ask(self, *hosts: str) -> None:
        for host in hosts:
            self.turns.ask(
                Turn(host=host, waits=True), lambda answer, host=host: self.answers.update({host: answer})
            )  # type: ignore[misc]

    def end(self, *hosts: str, ok: bool = True) -> None:
        for host in hosts:
            self.turns.ended(host, "ok" if ok else "failed", self._later)
            while self.due:
                self.due.pop(0)()

    def _later(self, seconds: float, call: Callable[[], object]) -> None:
        self.pauses.append(seconds)
        self.due.append(call)

    @property
    def going(self) -> list[str]:
        return [host for host, answer in self.answers.items() if answer.go]

    @property
    def held(self) -> list[str]:
        return [host for host, answer in self.answers.items() if not answer.go]


def test_each_wave_waits_for_the_one_before() -> None:
    fleet = Fleet("a", "b c", "d")
    fleet.ask("d", "b", "a")
    assert fleet.going == ["a"]
    fleet.end("a")
    assert fleet.going == ["a", "b"]
    fleet.ask("c")
    assert fleet.going == ["a", "b", "c"]
    fleet.end("b")
    assert "d" not in fleet.going
    fleet.end("c")
    assert fleet.going == ["a", "b", "c", "d"]
    assert [event.number for event in fleet.told if isinstance(event, Wave)] == [1, 2, 3]


def test_hosts_with_nothing_to_change_hold_nobody_up() -> None:
    fleet = Fleet("a", "b", "c", pause=30)
    fleet.ask("c")
    fleet.end("b", "a")
    assert fleet.going == ["c"]
    assert fleet.pauses == [0]
    assert [event.number for event in fleet.told if isinstance(event, Wave)] == [3]


def test_a_pause_follows_a_wave_that_has_changed_something() -> None:
    fleet = Fleet("a", "b", pause=30)
    fleet.ask("a", "b")
    fleet.end("a")
    assert fleet.pauses == [30]
    assert fleet.going == ["a", "b"]


def test_a_failure_stops_all_that_have_not_begun() -> None:
    fleet = Fleet("a", "b c", "d")
    fleet.ask("a", "b", "d")
    fleet.end("a", ok=False)
    fleet.ask("c")
    assert fleet.going == ["a"]
    assert fleet.held == ["b", "d", "c"]
    refused = fleet.turns.refused("e")
    assert refused is not None
    assert refused.code == "rollout-stopped"
    assert refused.message == "not changed, because a failed"
    stop = fleet.told[-1]
    assert isinstance(stop, Wave)
    assert stop.stopped == refused
    assert stop.hosts == ["b", "c", "d"]


def test_those_that_have_begun_go_on_and_nobody_follows() -> None:
    fleet = Fleet("a", "b c d", "e")
    fleet.ask("a")
    fleet.end("a")
    fleet.ask("b", "c", "e")
    fleet.end("b", ok=False)
    assert fleet.going == ["a", "b", "c"]
    fleet.end("c")
    assert fleet.held == ["e"]
    stop = fleet.told[-1]
    assert isinstance(stop, Wave)
    assert stop.hosts == ["d", "e"]


@pytest.mark.parametrize(("allowed", "going"), [(1, ["a", "b", "c"]), (0, ["a"])])
def test_so_many_may_fail(allowed: int, going: list[str]) -> None:
    fleet = Fleet("a", "b", "c", max_failures=allowed)
    fleet.ask("a", "b", "c")
    fleet.end("a", ok=False)
    fleet.end("b")
    assert fleet.going == going


def test_the_last_wave_needs_no_end() -> None:
    fleet = Fleet("a", "b")
    fleet.end("a", "b")
    assert fleet.told == []


def test_a_host_that_fails_alone_at_the_end_stops_nobody() -> None:
    fleet = Fleet("a", "b")
    fleet.ask("a", "b")
    fleet.end("a")
    fleet.end("b", ok=False)
    assert all(isinstance(event, Wave) and event.stopped is None for event in fleet.told)
