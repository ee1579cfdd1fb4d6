"""Questions to the controller: any thread may ask, and the answers come in any order."""

from __future__ import annotations

import time
from _thread import allocate_lock
from threading import Event
from typing import Any

from provision.wire import plainjson, survey


class Dialogue:
    """Gives each answer of the controller to the one who has asked."""

    def __init__(self) -> None:
        self._guard = allocate_lock()
        self._last = 0
        self._heard = time.monotonic()
        self._open: dict[int, Event] = {}
        self._answers: dict[int, Any] = {}

    def begin(self) -> int:
        """Return the number of a new question."""
        with self._guard:
            self._last += 1
            self._open[self._last] = Event()
            return self._last

    def take(self, line: bytes) -> None:
        """Take a line that the controller has sent; what names no question is given to all that wait.

        An empty line is a sign of life.
        """
        self._heard = time.monotonic()
        if not line:
            return
        try:
            said = plainjson.loads(line.decode("utf-8"))
            number = said.get("number") if isinstance(said, dict) else None
        except ValueError:
            said = number = None
        with self._guard:
            for each in [number] if number in self._open else [*self._open]:
                self._answers[each] = said
                self._open[each].set()

    def silent(self) -> float:
        """Return for how many seconds nothing has come."""
        return time.monotonic() - self._heard

    def hear(self, number: int, seconds: float) -> survey.Answer | None:
        """Return the answer to a question; None when none comes within some seconds.

        Raises:
            Mismatch: what has come is no answer.
        """
        if not self._open[number].wait(max(0.0, seconds)):
            return None
        return survey.Answer.parse(self._answers[number])

    def end(self, number: int) -> None:
        """Forget a question."""
        with self._guard:
            del self._open[number]
            self._answers.pop(number, None)
