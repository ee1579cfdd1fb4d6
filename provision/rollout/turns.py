"""Whose turn it is to be changed: wave by wave, and no further once too many hosts have failed."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from provision.wire.events import STOPPED, Question, Wave
from provision.wire.finding import Finding, fault
from provision.wire.survey import Answer

if TYPE_CHECKING:
    from provision.fleet.waves import Waves
    from provision.rollout.run import Later
    from provision.transport.target import OnEvent, Status


class Turns:
    """Answers hosts that have something to change once their wave has begun.

    A host with nothing to change does not ask, and so waits for nobody. A wave has ended when all its hosts
    have, and every service on them was proven; then the next one begins.

    Args:
        waves: the hosts of each wave, and how many may fail.
        take: is told when a wave begins, and when no further host is changed.
    """

    def __init__(self, waves: Waves, take: OnEvent) -> None:
        self._waves = waves
        self._take = take
        self._number = waves.numbers()
        self._left = [set(names) for names in waves.hosts]
        self._waiting: dict[str, Callable[[Answer], None]] = {}
        self._failed: list[str] = []
        self._current = 0
        self._begun: set[int] = set()
        self._allowed: set[str] = set()
        self._stopped: Finding | None = None

    def ask(self, question: Question, send: Callable[[Answer], None]) -> None:
        """Answer a host now, or when its turn has come."""
        if self._stopped:
            send(Answer(go=False, findings=[self._stopped]))
        elif self._number[question.host] <= self._current:
            self._allow(question.host, send)
        else:
            self._waiting[question.host] = send

    def refused(self, host: str) -> Finding | None:
        """Return why a host is not to be asked any more; None while it is."""
        return self._stopped

    def ended(self, host: str, status: Status, later: Later) -> None:
        """Take note that a host has ended, and let the next wave begin if it was the last one of its wave."""
        self._left[self._number[host]].discard(host)
        self._waiting.pop(host, None)
        if self._stopped:
            return
        if status != "ok":
            self._failed.append(host)
            if len(self._failed) > self._waves.max_failures:
                self._stop()
                return
        if not self._left[self._current]:
            # Nothing has changed in a wave that has not begun.
            pause = self._waves.pause if self._current in self._begun else 0
            later(pause, self._next)

    def _next(self) -> None:
        while not self._stopped and not self._left[self._current]:
            if self._current + 1 == len(self._left):
                return
            self._current += 1
        for host, send in list(self._waiting.items()):
            if self._number[host] <= self._current:
                del self._waiting[host]
                self._allow(host, send)

    def _allow(self, host: str, send: Callable[[Answer], None]) -> None:
        number = self._number[host]
        self._allowed.add(host)
        if number not in self._begun:
            self._begun.add(number)
            hosts = list(self._waves.hosts[number])
            self._take(Wave(number=number + 1, of=len(self._left), hosts=hosts))
        send(Answer(go=True))

    def _stop(self) -> None:
        names = ", ".join(self._failed)
        why = f"{names} failed" if len(self._failed) == 1 else f"{len(self._failed)} hosts failed ({names})"
        hint = "correct what failed, and apply again: it goes on where this has ended"
        self._stopped = fault(STOPPED, f"not changed, because {why}", hint)
        left = set[str]().union(*self._left) - self._allowed
        held = [name for names in self._waves.hosts for name in names if name in left]
        if held:
            number = self._current + 1
            self._take(Wave(number=number, of=len(self._left), hosts=held, stopped=self._stopped))
        for send in self._waiting.values():
            send(Answer(go=False, findings=[self._stopped]))
        self._waiting.clear()
