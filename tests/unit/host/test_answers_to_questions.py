"""A host side that waits for its controller: answered, not answered, left alone, cancelled."""

from __future__ import annotations

import io
import json
import os
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from provision.host import channel as channels
from provision.host import machine as machines
from provision.host.channel import Channel
from provision.host.dialogue import Dialogue
from provision.host.failure import Failure
from provision.host.machine import Machine
from provision.wire.finding import fault
from provision.wire.record import Mismatch
from provision.wire.survey import Answer
from tests.unit.surveys import NOTHING as QUESTION


class Line:
    """A machine whose controller is this test."""

    def __init__(self) -> None:
        read, self.write = os.pipe()
        self.out = io.BytesIO()
        self.dialogue = Dialogue()
        self.channel = Channel(self.out, lambda: self.machine.cancel(), self.dialogue.take)
        self.machine = Machine(self.channel.emit, "/nowhere", dialogue=self.dialogue)
        self.channel.attend(read)

    def send(self, text: bytes) -> None:
        os.write(self.write, text)

    def close(self) -> None:
        os.close(self.write)


@pytest.fixture
def line() -> Iterator[Line]:
    made = Line()
    yield made
    if not made.machine.cancelled.is_set():
        made.close()


def answer(go: bool, number: int = 1) -> bytes:
    """Return an answer as the controller sends it."""
    return json.dumps(Answer(go=go, number=number, findings=[fault("a-b", "没有")]).plain()).encode() + b"\n"


def later(line: Line, *texts: bytes) -> None:
    """Send texts once a further question has been asked."""
    asked = line.out.getvalue().count(b'"waits":true')

    def send() -> None:
        while line.out.getvalue().count(b'"waits":true') == asked:
            time.sleep(0.01)
        for text in texts:
            line.send(text)

    threading.Thread(target=send).start()


def test_an_answer_that_arrives_in_pieces(line: Line) -> None:
    whole = answer(False)
    later(line, whole[:10], whole[10:])
    found = line.machine.ask(QUESTION)
    assert (found.go, found.findings[0].message) == (False, "没有")
    assert b'"waits":true' in line.out.getvalue()
    assert not QUESTION.waits


def test_one_question_after_another(line: Line) -> None:
    for number, go in enumerate((True, False, True), 1):
        later(line, answer(go, number))
        assert line.machine.ask(QUESTION).go is go


def test_answers_go_to_those_who_have_asked_in_whatever_order(line: Line) -> None:
    found: dict[str, bool] = {}
    asked = threading.Event()

    def first() -> None:
        asked.set()
        found["first"] = line.machine.ask(QUESTION).go

    thread = threading.Thread(target=first)
    thread.start()
    asked.wait()
    while b'"number":1' not in line.out.getvalue():
        time.sleep(0.01)
    later(line, answer(False, 2) + answer(True, 1))
    found["second"] = line.machine.ask(QUESTION).go
    thread.join()
    assert found == {"first": True, "second": False}


def test_what_is_no_answer_is_told(line: Line) -> None:
    later(line, b'{"go":true,"findings":[],"more":1}\n')
    with pytest.raises(Mismatch, match="more"):
        line.machine.ask(QUESTION)


def test_no_answer(line: Line, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machines, "PATIENCE", 0.3)
    with pytest.raises(Failure) as raised:
        line.machine.ask(QUESTION)
    assert raised.value.code == "no-answer"


def test_the_controller_is_told_meanwhile_that_the_host_lives(
    line: Line, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(channels, "HEARTBEAT", 0.1)
    monkeypatch.setattr(machines, "PATIENCE", 3.0)
    with pytest.raises(Failure):
        line.machine.ask(QUESTION)
    assert b'"event":"heartbeat"' in line.out.getvalue()


def test_a_controller_that_gives_no_sign_of_life_counts_as_gone(line: Line) -> None:
    signs: list[float] = []

    def live() -> None:
        for _ in range(30):
            line.send(b"\n")
            signs.append(time.monotonic())
            time.sleep(0.1)

    threading.Thread(target=live).start()
    with pytest.raises(Failure) as raised:
        line.machine.ask(QUESTION, endless=True, silence=2)
    assert raised.value.code == "run-cancelled"
    assert len(signs) == 30


@pytest.mark.parametrize("how", ["gone", "cancelled"])
def test_a_run_that_nobody_waits_for_ends(line: Line, how: str) -> None:
    end: dict[str, Any] = {"gone": line.close, "cancelled": line.machine.cancel}
    threading.Timer(0.2, end[how]).start()
    with pytest.raises(Failure) as raised:
        line.machine.ask(QUESTION)
    assert raised.value.code == "run-cancelled"
