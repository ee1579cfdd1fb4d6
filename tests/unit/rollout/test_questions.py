"""A host that asks, and goes on when it is answered: in the same execution, over the same standard input."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from provision.rollout.run import Summary, run
from provision.rollout.verdicts import Verdicts
from provision.transport.archive import Archive
from provision.transport.target import OnQuestion, Target
from provision.wire.events import Event, Note
from provision.wire.finding import ERROR, WARNING, fault
from provision.wire.questions import Question
from provision.wire.rollout import Outlook
from provision.wire.survey import Answer
from tests.unit.rollout.standin import PATIENT, Raw, asks, ended, go, here
from tests.unit.surveys import NOTHING


def ask(archive: Archive, on_question: OnQuestion, *targets: Target) -> tuple[Summary, list[Event]]:
    """Run, and return the summary and all events."""
    events: list[Event] = []
    targets = targets or (here(),)
    summary = run(targets, None, events.append, on_question=on_question, limits=PATIENT, archive=archive)
    return summary, events


def notes(events: list[Event]) -> list[str]:
    """Return what the host has noted."""
    return [event.finding.message for event in events if isinstance(event, Note)]


def test_a_host_may_go_on_when_nobody_judges(tmp_path: Path) -> None:
    summary, events = go([here()], asks(tmp_path))
    assert notes(events) == [
        '{"go":true,"number":0,"findings":[],"starts":[],"peers":[],"change":"","leave":false}'
    ]
    assert summary.ok


def test_each_question_is_answered_in_one_execution(tmp_path: Path) -> None:
    answers = iter([Answer(go=True), Answer(go=False, findings=[fault("code", "没有")])])

    def answer(question: Question, send: Callable[[Answer], None]) -> None:
        assert question.host == "here"
        send(next(answers))

    _, events = ask(asks(tmp_path, 2), answer)
    assert ['"go":true' in line for line in notes(events)] == [True, False]
    assert "没有" in notes(events)[1]
    assert ended(events).executions == 1


def test_an_answer_may_come_later(tmp_path: Path) -> None:
    """As it will when it depends on what other hosts tell."""

    waiting: list[Callable[[Answer], None]] = []

    def answer(question: Question, send: Callable[[Answer], None]) -> None:
        waiting.append(send)
        if len(waiting) == 2:
            for each in waiting:
                each(Answer(go=True))

    summary, events = ask(asks(tmp_path), answer, here("a"), here("b"))
    assert (
        notes(events)
        == ['{"go":true,"number":0,"findings":[],"starts":[],"peers":[],"change":"","leave":false}'] * 2
    )
    assert summary.ok


def test_a_host_that_is_not_answered_learns_that_the_run_was_cancelled(tmp_path: Path) -> None:
    def answer(question: Question, send: Callable[[Answer], None]) -> None:
        raise RuntimeError("a fault")

    with pytest.raises(RuntimeError, match="a fault"):
        ask(asks(tmp_path), answer)


def test_an_answer_to_a_host_that_has_gone_is_dropped(tmp_path: Path) -> None:
    kept: list[Callable[[Answer], None]] = []
    gone = Raw('echo \'{"event":"reached"}\'; exit 3')
    ask(asks(tmp_path), lambda question, send: kept.append(send), gone_target(gone))
    for send in kept:
        send(Answer(go=True))


def gone_target(connection: Raw) -> Target:
    """Return a target that ends at once."""
    return Target(connection, b"{}")


SURVEYED = NOTHING.replace(host="h")


def judged(*ignored: str) -> tuple[Outlook, Answer]:
    """Return the outlook that is told, and the answer, when two errors and a warning are foreseen."""
    told = [fault("a-a", "A"), fault("b-b", "B"), fault("c-c", "C").replace(severity=WARNING)]
    events: list[Event] = []
    answers: list[Answer] = []
    verdicts = Verdicts(
        lambda host, surveyed, differing: Outlook(host=host, loads=[], forecasts=[], findings=told),
        ignored,
        events.append,
    )
    verdicts.take(SURVEYED)
    verdicts.answer(SURVEYED, answers.append)
    assert events[0] == SURVEYED
    assert isinstance(events[1], Outlook)
    assert len(events) == 2
    return events[1], answers[0]


def test_an_error_stops_the_host() -> None:
    outlook, answer = judged()
    assert [finding.severity for finding in outlook.findings] == [ERROR, ERROR, WARNING]
    assert (answer.go, [finding.code for finding in answer.findings]) == (False, ["a-a", "b-b"])


def test_an_ignored_error_becomes_a_warning_and_the_other_still_stops() -> None:
    outlook, answer = judged("a-a")
    assert [finding.severity for finding in outlook.findings] == [WARNING, ERROR, WARNING]
    assert (answer.go, [finding.code for finding in answer.findings]) == (False, ["b-b"])


def test_when_all_are_ignored_the_host_goes_on_and_is_told_what_was_ignored() -> None:
    outlook, answer = judged("a-a", "b-b", "c-c")
    assert {finding.severity for finding in outlook.findings} == {WARNING}
    assert (answer.go, [finding.code for finding in answer.findings]) == (True, ["a-a", "b-b"])
