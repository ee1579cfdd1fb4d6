"""Who may change when: what hosts are answered as they ask, in whatever order they do and end."""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable

import pytest

from provision.fleet.waves import Waves
from provision.rollout.turns import SETTLING, Turns
from provision.wire.events import Event, Waiting
from provision.wire.questions import Turn
from provision.wire.rollout import Wave
from provision.wire.survey import Answer


class Fleet:
    """Turns with what they have answered and told, and a clock that a test moves."""

    def __init__(self, *hosts: str, max_failures: int = 0, pause: float = 0) -> None:
        self.answers: dict[str, Answer] = {}
        self.told: list[Event] = []
        self.pauses: list[float] = []
        self.due: list[Callable[[], object]] = []
        self.settle: Callable[[], object] = lambda: None
        order = tuple(tuple(names.split()) for names in hosts)
        self.turns = Turns(Waves(order, max_failures, pause), self.told.append)
        self.turns.begin(self._later)

    def ask(self, *hosts: str) -> None:
        for host in hosts:
            self.turns.ask(
                Turn(host=host, waits=True), lambda answer, host=host: self.answers.update({host: answer})
            )  # type: ignore[misc]

    def end(self, *hosts: str, ok: bool = True) -> None:
        for host in hosts:
            self.turns.ended(host, "ok" if ok else "failed")
            while self.due:
                self.due.pop(0)()

    def _later(self, seconds: float, call: Callable[[], object]) -> None:
        if seconds == SETTLING:
            self.settle = call
            return
        self.pauses.append(seconds)
        self.due.append(call)

    def hear(self, *hosts: str, locked: bool = False) -> None:
        for host in hosts:
            event = Waiting(host=host, id="", reason="another run", seconds=0, locked=True)
            self.turns.hear(event if locked else Turn(host=host))

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


def test_nothing_begins_while_another_run_holds_a_host() -> None:
    fleet = Fleet("a", "b", "c")
    assert [fleet.turns.refused(host) for host in "abc"] == [None] * 3
    fleet.hear("a")
    fleet.ask("a")
    assert fleet.answers == {}  # of b and c nothing is known yet
    fleet.hear("c", locked=True)
    assert fleet.answers.pop("a").leave
    fleet.turns.ask(Turn(host="a", free=True), lambda answer: fleet.answers.update(a=answer))
    fleet.hear("b")
    fleet.ask("b")
    assert fleet.answers.pop("b").leave
    fleet.turns.ask(Turn(host="b", free=True), lambda answer: fleet.answers.update(b=answer))
    fleet.hear("c")
    fleet.ask("c")
    assert fleet.answers == {}
    fleet.due.pop()()
    assert sorted(fleet.going) == ["a", "b"]  # they are taken again
    fleet.answers.clear()
    fleet.ask("b", "a")
    assert fleet.answers == {}
    fleet.hear("a", "b")
    assert fleet.going == ["a"]


def test_who_does_not_answer_holds_up_nobody_for_long() -> None:
    fleet = Fleet("a", "b")
    for host in "ab":
        fleet.turns.refused(host)
    fleet.hear("a")
    fleet.ask("a")
    assert fleet.answers == {}
    fleet.settle()
    assert fleet.going == ["a"]


def test_who_cannot_have_a_host_in_time_changes_nothing() -> None:
    fleet = Fleet("a", "b")
    fleet.hear("b", locked=True)
    fleet.ask("a")
    fleet.turns.ask(Turn(host="a", free=True), lambda answer: fleet.answers.update(a=answer))
    fleet.end("b", ok=False)
    assert fleet.going == []
    assert fleet.answers["a"].findings[0].message == "not changed, because b failed"


class Hosts:
    """The locks of hosts, and several applies of them at once: what happens next is drawn by lot."""

    def __init__(self, seed: int) -> None:
        self.lot = random.Random(seed)
        self.holders: dict[str, int] = {}
        self.changed: list[tuple[int, str]] = []
        self.steps: list[Callable[[], object]] = []
        self.slow: list[Callable[[], object]] = []
        self.ended: set[tuple[int, str]] = set()

    def apply(self, number: int, *waves: str) -> None:
        order = tuple(tuple(names.split()) for names in waves)
        turns = Turns(Waves(order, 0, 0), lambda event: None)
        turns.begin(lambda seconds, call: (self.slow if seconds else self.steps).append(call))

        def then(call: Callable[..., object], *arguments: object) -> None:
            self.steps.append(lambda: call(*arguments))

        def take(host: str, told: bool = False) -> None:
            if host in self.holders:
                if not told:
                    turns.hear(Waiting(host=host, id="", reason="", seconds=0, locked=True))
                self.slow.append(lambda: take(host, True))
                return
            self.holders[host] = number
            turn = Turn(host=host)
            turns.hear(turn)
            turns.ask(turn, lambda answer: then(answered, host, answer))

        def answered(host: str, answer: Answer) -> None:
            del self.holders[host]
            if answer.leave:
                turns.ask(Turn(host=host, free=True), lambda answer: then(take, host))
                return
            assert answer.go
            self.changed.append((number, host))
            self.ended.add((number, host))
            turns.ended(host, "ok")

        for host in [host for names in order for host in names]:
            assert turns.refused(host) is None
            then(take, host)

    def run(self) -> None:
        for _ in range(20_000):
            # Timers go off, and hosts that are held are tried again, when nothing else happens.
            ready = self.steps or self.slow
            if not ready:
                return
            ready.pop(self.lot.randrange(len(ready)))()


@pytest.mark.parametrize("seed", range(100))
def test_applies_of_the_same_hosts_come_one_after_the_other(seed: int) -> None:
    """In whatever order they take hosts, and whatever their waves are: all end, and none is mixed."""
    hosts = Hosts(seed)
    hosts.apply(1, "a", "b c", "d")
    hosts.apply(2, "d", "c", "b a")
    hosts.apply(3, "c", "e", "a")
    hosts.run()
    assert len(hosts.ended) == 11, hosts.holders
    numbers = [number for number, _ in hosts.changed]
    assert [number for number, _ in itertools.groupby(numbers)] == list(dict.fromkeys(numbers))
