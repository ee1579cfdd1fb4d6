"""Many hosts at once, within limits, in one thread."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Sequence
from typing import Protocol

from provision.caches import cache
from provision.rollout.summary import Summary
from provision.transport.ahead import Ahead
from provision.transport.archive import Archive
from provision.transport.loop import Loop, Promise, Slots
from provision.transport.session import Session
from provision.transport.target import LIMITS, Limits, OnEvent, OnQuestion, Status, Target, Terms
from provision.wire.events import Error, Event
from provision.wire.finding import Finding, fault
from provision.wire.questions import Question
from provision.wire.rollout import Unreachable
from provision.wire.survey import Answer

__all__ = ["FORKS", "GRACE", "Limits", "Summary", "Target", "run"]

FORKS = 32
"""Hosts worked on at once, unless told otherwise. Each costs an ssh process of some MB here.

A hundred hosts and the controller on two cores, nothing to change: 16 to 100 at once take equally long, as
`handshakes_at_once` limits the expensive part; memory grows (docs/benchmarks.md). Slow hosts need more.
"""

GRACE = 10.0
"""Seconds that hosts are given after a cancellation to stop and to say what they have done."""


PROD = 15.0
"""Seconds between two signs of life for the hosts of requests beside those of the run."""


def handshakes_at_once() -> int:
    """Return how many connections are made at once.

    Each needs a core for a tenth of a second and otherwise waits for the other side. With too few at once the
    cores idle (ten hosts, two cores: 2.3 s with four at once, 1.7 s with ten); with a hundred each takes so
    long that it runs out of time.
    """
    return 8 * (os.cpu_count() or 1)


def agreed(question: Question, answer: Callable[[Answer], None]) -> None:
    """Let a host go on."""
    answer(Answer(go=True))


class Later(Protocol):
    """Calls a function after some time."""

    def __call__(self, seconds: float, call: Callable[[], object], /) -> object:
        """Do so."""


class Order(Protocol):
    """Says which hosts are begun, and hears how they end."""

    def begin(self, later: Later) -> None:
        """Take what calls a function of this run after some time."""

    def refused(self, host: str) -> Finding | None:
        """Return why a host is not to be begun any more."""

    def ended(self, host: str, status: Status) -> None:
        """Take note of how a host has ended."""


class Open(Protocol):
    """Carries out a request beside those of the run, and not counted among the hosts at a time."""

    def __call__(
        self, target: Target, on_event: OnEvent, on_question: OnQuestion, on_end: Callable[[Status], None], /
    ) -> None:
        """Begin it; `on_end` is called when it has ended."""


class Beside(Protocol):
    """Has requests of its own while a run goes on."""

    def begin(self, open: Open) -> None:
        """Take what carries them out."""

    def ended(self, host: str) -> None:
        """Take note that a host of the run has ended."""


OnEnd = Callable[[str, Status], None]
"""Gets the name of a host that has ended, and how."""


def run(
    targets: Sequence[Target],
    forks: int | None,
    on_event: OnEvent,
    *,
    password: str | None = None,
    on_question: OnQuestion = agreed,
    order: Order | None = None,
    beside: Beside | None = None,
    on_end: OnEnd | None = None,
    limits: Limits = LIMITS,
    archive: Archive | None = None,
    ahead: Ahead | None = None,
) -> Summary:
    """Carry out the requests of all targets.

    A host that cannot be reached, hangs or fails does not stop the others. SIGINT and SIGTERM close the
    standard inputs on the hosts, so that they stop; they have `GRACE` seconds to tell what they have done, or
    until the second signal, after which nothing is waited for.

    Args:
        targets: hosts with their requests; each host once.
        forks: how many at once; None for `FORKS`.
        on_event: called with the events of all hosts, those of one host in order. An exception from it
            cancels the run and is raised in the end.
        on_question: called with each event that a host waits on, and with what sends the answer; else the
            hosts may go on.
        order: is asked before each host, and told how it ended; None lets all begin.
        beside: has requests of its own meanwhile.
        on_end: is told of each host that has ended.
        password: for sudo, where the connections say that it may ask.
        limits: see `Limits`.
        archive: the host side; None for the one of this provision.
        ahead: what has been begun on hosts already.
    """
    archive = archive or Archive(cache=cache("archives"))
    terms = Terms(Loop(), archive, ahead or Ahead(), on_event, on_question, password, limits)
    return _Fleet(targets, forks or FORKS, terms, order, beside, on_end).run()


class _Fleet:
    def __init__(
        self,
        targets: Sequence[Target],
        forks: int,
        terms: Terms,
        order: Order | None,
        beside: Beside | None,
        on_end: OnEnd | None,
    ) -> None:
        self.targets = targets
        self.order = order
        self.beside = beside
        self.on_end = on_end
        if beside:
            beside.begin(self.open)
        if order:
            order.begin(terms.loop.later)
        self.on_event = terms.on_event
        self.on_question = terms.on_question
        self.terms = terms._replace(on_event=self._emit, on_question=self._ask)
        self.loop = terms.loop
        self.slots = Slots(self.loop, forks)
        self.handshakes = Slots(self.loop, handshakes_at_once())
        self.finished: dict[str, Promise[None]] = {target.host: Promise(self.loop) for target in targets}
        self.summary = Summary()
        self.sessions: set[Session] = set()
        self.fault: BaseException | None = None

    def run(self) -> Summary:
        try:
            with self.loop.handling(self.cancel, signal.SIGINT, signal.SIGTERM):
                self.loop.run(self._one(target) for target in self.targets)
        finally:
            for session in self.sessions:
                session.end()
            self.loop.close()
        if self.fault:
            raise self.fault
        order = self.summary.outcomes
        self.summary.outcomes = {target.host: order[target.host] for target in self.targets}
        return self.summary

    def cancel(self) -> None:
        """Let the hosts stop; called again, wait for them no longer."""
        if self.summary.cancelled:
            for session in list(self.sessions):
                session.leave()
            return
        self.summary.cancelled = True
        for session in self.sessions:
            session.cancel()
        self.loop.later(GRACE, self._give_up)

    def _give_up(self) -> None:
        for session in self.sessions:
            session.end()

    def _emit(self, event: Event) -> None:
        self._call(lambda: self.on_event(event))

    def _ask(self, question: Question, answer: Callable[[Answer], None]) -> None:
        self._call(lambda: self.on_question(question, answer))

    def _call(self, function: Callable[[], None]) -> None:
        if self.fault:
            return
        try:
            function()
        except BaseException as fault:
            self.fault = fault
            self.cancel()

    def open(
        self, target: Target, on_event: OnEvent, on_question: OnQuestion, on_end: Callable[[Status], None]
    ) -> None:
        """Carry out a request beside those of the run."""
        terms = self.terms._replace(
            on_event=lambda event: self._call(lambda: on_event(event)),
            on_question=lambda question, answer: self._call(lambda: on_question(question, answer)),
        )

        async def carry_out() -> None:
            if self.summary.cancelled:
                self._call(lambda: on_end("cancelled"))
                return
            session = Session(target, terms, self.handshakes)
            self.sessions.add(session)

            def prod() -> None:
                if session in self.sessions:
                    session.prod()
                    self.loop.later(PROD, prod)

            prod()
            try:
                status = await session.run()
            finally:
                self.sessions.discard(session)
            self._call(lambda: on_end(status))

        self.loop.add(carry_out())

    async def _one(self, target: Target) -> None:
        try:
            for other in (target.after, *target.behind):
                if other in self.finished and other != target.host:
                    await self.finished[other]
            await self.slots.acquire()
            try:
                status = self.summary.outcomes[target.host] = await self._work(target)
            finally:
                self.slots.release()
            if self.beside:
                beside, ended = self.beside, target.host
                self._call(lambda: beside.ended(ended))
            if self.on_end:
                on_end, ended_host = self.on_end, target.host
                self._call(lambda: on_end(ended_host, status))
            if self.order:
                order, host = self.order, target.host
                self._call(lambda: order.ended(host, status))
        finally:
            self.finished[target.host].keep(None)

    async def _work(self, target: Target) -> Status:
        host = target.host
        if self.summary.cancelled:
            self._emit(Error(host=host, finding=fault("run-cancelled", "cancelled before it began")))
            return "cancelled"
        refused = self.order.refused(host) if self.order else None
        if refused:
            self._emit(Error(host=host, finding=refused))
            return "failed"
        if self.summary.outcomes.get(target.after or "") == "unreachable":
            message = f"{target.after}, on which it runs, could not be reached"
            self._emit(Unreachable(host=host, finding=fault("outer-unreachable", message)))
            return "unreachable"
        session = Session(target, self.terms, self.handshakes)
        self.sessions.add(session)
        try:
            return await session.run()
        finally:
            self.sessions.discard(session)
