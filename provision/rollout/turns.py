"""Whose turn it is to be changed: wave by wave, and no further once too many hosts have failed.

Two applies of the same hosts come one after the other, and do not mix. So nothing is changed before it is
known of each host that no other run holds it. As long as one is held, this apply holds none itself: then no
two can wait for each other.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from provision.wire.events import STOPPED, Event, Inspected, Waiting
from provision.wire.finding import Finding, fault
from provision.wire.questions import Question, Turn
from provision.wire.rollout import Wave
from provision.wire.survey import Answer

if TYPE_CHECKING:
    from provision.fleet.waves import Waves
    from provision.rollout.run import Later
    from provision.transport.target import OnEvent, Status


SETTLING = 5.0
"""Seconds from the first host that is ready, in which the others have to say whether they are held: one that
does not answer at all holds up nobody for longer."""

BACKOFF = 2.0
"""Seconds, at most, after which hosts that were left to others are taken again: two applies that both do so
at the same moment would go on for ever."""


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
        self._unsettled: set[str] = set()
        self._held: set[str] = set()
        self._left_alone: dict[str, Callable[[Answer], None]] = {}
        self._round = 0
        """How often the hosts were taken."""
        self._begun: set[int] = set()
        self._allowed: set[str] = set()
        self._stopped: Finding | None = None

    def begin(self, later: Later) -> None:
        """Take what calls a function of this run after some time."""
        self._later = later

    def held(self) -> frozenset[str]:
        """Return the hosts that other runs hold now."""
        return frozenset(self._held)

    def hear(self, event: Event) -> None:
        """Take note of whether other runs hold a host."""
        held = isinstance(event, Waiting) and event.locked
        if not held and not isinstance(event, Inspected | Question):
            return  # a heartbeat says nothing of it
        self._unsettled.discard(event.host)
        if held:
            self._held.add(event.host)
        elif event.host in self._held:
            self._held.discard(event.host)
            self._take_again()
        self._proceed()

    def ask(self, question: Question, send: Callable[[Answer], None]) -> None:
        """Answer a host now, or when its turn has come."""
        if self._stopped:
            send(Answer(go=False, findings=[self._stopped]))
            return
        if isinstance(question, Turn) and question.free:
            self._left_alone[question.host] = send
            self._take_again()
            return
        self._waiting[question.host] = send
        if not self._round:
            self._settle_soon()
        self._proceed()

    def refused(self, host: str) -> Finding | None:
        """Return why a host is not to be asked any more; None while it is."""
        if not self._begun:
            self._unsettled.add(host)
        return self._stopped

    def _settle_soon(self) -> None:
        self._round += 1
        self._later(SETTLING, partial(self._settle, self._round))

    def _settle(self, round: int) -> None:
        if round == self._round:
            self._unsettled.clear()
            self._proceed()

    def _proceed(self) -> None:
        """Answer the hosts whose turn it is; before the first of them only if no other run holds any."""
        if self._stopped or not self._waiting:
            return
        if not self._begun and self._held:
            for host in list(self._waiting):
                self._waiting.pop(host)(Answer(go=False, leave=True))
        elif self._begun or not self._unsettled | self._left_alone.keys():
            for host in list(self._waiting):
                if self._number[host] <= self._current:
                    self._allow(host, self._waiting.pop(host))

    def _take_again(self) -> None:
        """Have hosts that were left to others be taken again, once nobody holds any."""
        if self._left_alone and not self._held:
            # Here, as it takes long to import and is hardly ever needed.
            import random

            self._later(random.uniform(0, BACKOFF), self._release)

    def _release(self) -> None:
        if self._left_alone and not self._held and not self._stopped:
            self._settle_soon()
            for host in list(self._left_alone):
                self._unsettled.add(host)
                self._left_alone.pop(host)(Answer(go=True))

    def ended(self, host: str, status: Status) -> None:
        """Take note that a host has ended, and let the next wave begin if it was the last one of its wave."""
        self._left[self._number[host]].discard(host)
        self._waiting.pop(host, None)
        self._left_alone.pop(host, None)
        self._unsettled.discard(host)
        self._held.discard(host)
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
            self._later(pause, self._next)
        self._take_again()
        self._proceed()

    def _next(self) -> None:
        while not self._stopped and not self._left[self._current]:
            if self._current + 1 == len(self._left):
                return
            self._current += 1
        self._proceed()

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
        for waiting in (self._waiting, self._left_alone):
            for send in waiting.values():
                send(Answer(go=False, findings=[self._stopped]))
            waiting.clear()
