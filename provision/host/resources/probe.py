"""The proof that a service answers: a real request to the very process that runs now."""

from __future__ import annotations

import re
import time
from typing import ClassVar, Sequence

from provision.host.failure import Failure
from provision.host.machine import Machine
from provision.host.resource import SERVICES, Changes, Resource, State
from provision.host.services import checks, compiling, figures, processes, supervision
from provision.host.services.failures import endings
from provision.host.services.gpus import turns
from provision.host.services.nodes import together
from provision.host.state import marks
from provision.wire import events
from provision.wire.checks import Check, Together
from provision.wire.events import Work
from provision.wire.figures import Figures
from provision.wire.finding import Finding
from provision.wire.specs.probe import ProbeSpec

POLL = 0.05
"""Seconds between the first two looks at a service that is not ready; they grow to `POLL_AT_MOST`."""

POLL_AT_MOST = 0.5

FIRST_TELL = 0.5
"""Seconds after which the progress is told for the first time."""

TELL = 2.0
"""Seconds between two reports of the progress."""

FRESH = 10.0
"""Seconds for which a process may have run to count as just started."""

SEEN = 120
"""Characters of a log line that are shown while one waits."""

_LEVEL = r"\b(INFO|WARNING|ERROR|CRITICAL)\b"


class Probe(Resource):
    """A service's readiness."""

    type = "probe"
    due: ClassVar[Changes] = {"proven": (False, True)}
    removal = SERVICES
    Spec = ProbeSpec
    spec: ProbeSpec
    role = events.PROOF
    identity = ("service",)

    def expected(self, machine: Machine) -> State:
        """Return that the running process has answered."""
        return {"proven": True}

    def actual(self, machine: Machine) -> State:
        """Return whether the process that runs now is the one that has answered."""
        running = supervision.life(machine, self.spec, shared=True).invocation
        return {"proven": running is not None and running == marks.proven(machine.state, self.spec.service)}

    def fix(self, machine: Machine, changes: Changes) -> None:
        """Wait until the service really answers, on all its nodes, and note which process has."""
        with together.Proving(machine, self.spec.service, self.spec.nodes) as proving:
            watch = Watch(machine, self.id, self.spec, proving)
            try:
                learned = self._answers(machine, watch)
            except Broken:
                learned = None  # the conclusion says why
            proving.conclude()
        assert watch.first is not None
        # The last note is that of the proof: what a killed run has not noted before, the next one does.
        if learned:
            figures.keep(machine.state, self.spec.service, learned)
        self.remember(watch.first)
        marks.prove(machine.state, self.spec.service, watch.first)

    def _answers(self, machine: Machine, watch: Watch) -> Figures | None:
        """Wait until the service really answers here; return what it has logged about its start.

        Raises:
            Failure: it does not.
            Broken: another of its nodes has failed.
        """
        watch.await_turn()
        others = [check for check in self.spec.checks if isinstance(check, Together)]
        self._ask(machine, watch, others)  # first, as the server may wait for another node
        if self.spec.health:
            watch.until_ready()
        learned = watch.learned()
        self._ask(machine, watch, [check for check in self.spec.checks if check not in others])
        life = watch.look()
        if life.invocation is None or life.invocation != watch.first:
            raise watch.ended(life)
        return learned

    def _ask(self, machine: Machine, watch: Watch, checks: Sequence[Check]) -> None:
        for check in checks:
            proof = watch.ask(check)
            _tell(machine, self.spec, proof, [] if proof.ok else watch.log())
            if not proof.ok:
                raise watch.failure(proof.code, f"{proof.check}: {proof.error}", proof.hint)

    def work(self, machine: Machine, changes: Changes) -> Work | None:
        """Say what will be asked."""
        return Work(checks=[check.title() for check in self.spec.checks])

    def waits_for_others(self) -> bool:
        """Whether it waits for an answer: always."""
        return True

    def prove(self, machine: Machine, patience: float = 0.0) -> bool:
        """Make each check, and tell how it went; whether all went well."""
        spec, good = self.spec, True
        until = time.monotonic() + patience
        life = supervision.life(machine, spec, shared=True)
        for check in spec.checks:
            proof = checks.perform(machine, spec, check)
            while not (proof.ok or proof.final) and time.monotonic() < until and self._lives(machine, life):
                machine.sleep(POLL_AT_MOST)
                proof = checks.perform(machine, spec, check)
            lines: list[str] = []
            if not proof.ok:
                good = False
                now = supervision.life(machine, spec)
                if now.invocation is None or now.invocation != life.invocation:
                    gone = endings.ended(machine, spec, now, life.since)
                    proof = proof._replace(error=gone.message, hint=gone.hint, code=gone.code)
                    lines = gone.log
                else:
                    lines = supervision.tail(machine, spec, supervision.TAIL, life.since)
            _tell(machine, spec, proof, lines)
        return good

    def _lives(self, machine: Machine, life: supervision.Life) -> bool:
        return supervision.life(machine, self.spec).invocation == life.invocation is not None

    def remove(self, machine: Machine) -> bool:
        """Return whether it was proven; that is forgotten with the service, whose stop needs to know it."""
        return marks.proven(machine.state, self.spec.service) is not None


class Broken(Exception):
    """Another node of the service has failed."""


class Watch:
    """Follows one service from its start to its answer, and stops waiting when no answer can come."""

    def __init__(self, machine: Machine, id: str, spec: ProbeSpec, proving: together.Proving) -> None:
        self._machine = machine
        self._proving = proving
        self._id = id
        self._spec = spec
        self._began = time.monotonic()
        self._told = self._began + FIRST_TELL - TELL
        self._poll = POLL
        self._limit = spec.timeout
        life = supervision.life(machine, spec)
        self._since = life.since
        self._restarts = life.restarts
        age = processes.uptime(life.pid) if life.pid else None
        self._fresh = age is not None and age < FRESH
        self.first = life.invocation
        if life.invocation is None:
            raise self.ended(life)

    def await_turn(self) -> None:
        """Wait while the start script waits for its turn on a GPU; the server's time begins after that."""
        service, cards = self._spec.service, self._spec.cards
        if cards and not self._spec.container:
            turns.await_turn(self._machine, self._id, service, cards, lambda: self.look().pid)
            self._began = time.monotonic()

    def until_ready(self) -> None:
        """Wait until the port is open and the server says that it is healthy."""
        while True:
            self._require_alive()
            try:
                health = checks.Client(self._machine, self._spec).get("/health", 5)
                # A server without this page answers 404, and is up; one that loads or dies answers 5xx.
                if health.status < 500:
                    return
                why = f"/health answers {health.status}"
            except checks.Unanswered as unanswered:
                why = str(unanswered)
            self._pause(why)

    def ask(self, check: Check) -> checks.Verdict:
        """Make a check, and repeat it while it fails for a reason that may pass."""
        while True:
            self._require_alive()
            proof = checks.perform(self._machine, self._spec, check, max(1.0, self._left()))
            if not proof.ok:
                self._require_alive()  # that a server has ended says more than a failed check
            if proof.ok or proof.final or self._left() <= 0:
                return proof
            self._pause(proof.error or "")

    def look(self) -> supervision.Life:
        """Return how the service is doing."""
        return supervision.life(self._machine, self._spec)

    def log(self) -> list[str]:
        """Return the last lines of its log."""
        return self._hide(supervision.tail(self._machine, self._spec, supervision.TAIL, self._since))

    def learned(self) -> Figures | None:
        """Return what it has logged about its start, which ends now; None when it started long ago."""
        if not self._fresh:
            return None
        log = supervision.tail(self._machine, self._spec, figures.LINES, self._since)
        return figures.read("\n".join(log), time.monotonic() - self._began)

    def failure(self, code: str, message: str, hint: str | None = None) -> Failure:
        """Return an error with the log and, where it is known, the way out."""
        return endings.explained(self._machine, self._spec, code, message, self._since, hint, self._hide)

    def ended(self, life: supervision.Life) -> Failure:
        """Return the error for a process that is not there any more."""
        return endings.ended(self._machine, self._spec, life, self._since, self._hide)

    def _require_alive(self) -> None:
        if self.first and processes.alive(self.first):
            return  # /proc tells it of a process; of a container, and of an end, the supervisor is asked
        life = self.look()
        if life.invocation is None or life.invocation != self.first or life.restarts > self._restarts:
            raise self.ended(life)

    def _left(self) -> float:
        return self._limit - (time.monotonic() - self._began)

    def _pause(self, why: str) -> None:
        if self._proving.broken:
            raise Broken
        if self._left() <= 0:
            raise self.failure(
                "not-answering", f"{self._spec.service} did not answer within {self._limit:.0f} s: {why}"
            )
        now = time.monotonic()
        if now - self._told >= TELL:
            self._told = now
            text = compiling.compiles(self.look().pid) or self._said() or f"{self._spec.url}: {why}"
            self._machine.progress(self._id, round(now - self._began, 1), self._limit, "seconds", text)
        self._machine.sleep(self._poll)
        self._poll = min(1.5 * self._poll, POLL_AT_MOST)

    def _said(self) -> str | None:
        """Return what the server last said of its start."""
        line = _telling(supervision.tail(self._machine, self._spec, supervision.TAIL, self._since))
        return _bare(self._hide([line])[0]) if line else None

    def _hide(self, lines: list[str]) -> list[str]:
        try:
            key = checks.key(self._machine, self._spec)
        except Failure:
            return lines
        return [checks.hidden(line, key) for line in lines]


def _telling(lines: list[str]) -> str | None:
    """Return the last line with a level, which is the server's own; others are warnings of libraries.

    Where no line has a level, as in logs of other programs, it is the last one.
    """
    whole = [line for line in lines if line.strip() and not line[:1].isspace()]
    levelled = [line for line in whole if re.search(_LEVEL, line)]
    return next(reversed(levelled or whole), None)


def _bare(line: str) -> str:
    """Return a line of vLLM's log without process, level, time and source, and not too long to be seen."""
    bare = re.sub(r"^(\(\w+ pid=\d+\) )?([A-Z]+ [\d-]+ [\d:]+ \[[^]]+\] )?", "", line.strip())
    return bare if len(bare) <= SEEN else bare[: SEEN - 1] + "…"


def _tell(machine: Machine, spec: ProbeSpec, proof: checks.Verdict, log: list[str]) -> None:
    """Send how a check went."""
    error = proof.error
    finding = Finding(code=proof.code, message=error, hint=proof.hint, log=log) if error is not None else None
    machine.emit(
        events.Proof(
            service=spec.service,
            check=proof.check,
            ok=proof.ok,
            sent=proof.sent,
            received=proof.received,
            seconds=proof.seconds,
            finding=finding,
        )
    )
