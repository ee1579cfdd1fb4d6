"""What is foreseen of hosts from what they have told, and what those that wait for it are answered."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Sequence
from typing import TYPE_CHECKING, Protocol

from provision.wire.events import Event, Inspected
from provision.wire.finding import ERROR, WARNING, Finding, fault
from provision.wire.questions import Question, Surveyed
from provision.wire.rollout import Outlook
from provision.wire.survey import Answer

if TYPE_CHECKING:
    from provision.transport.target import OnEvent


class Foresee(Protocol):
    """Says what is foreseen of a host."""

    def __call__(self, host: str, surveyed: Surveyed, differing: Sequence[Inspected]) -> Outlook:
        """Return it; `host` is its name in the inventory, `differing` is what is not as declared there."""


def unforeseen(host: str, surveyed: Surveyed, differing: Sequence[Inspected]) -> Outlook:
    """Foresee nothing but what the host itself finds to be wrong."""
    found = [surveyed.trouble] if surveyed.trouble else []
    return Outlook(host=host, loads=[], forecasts=[], findings=found)


class Verdicts:
    """Adds to the events what is foreseen, and answers the hosts that wait for it.

    Args:
        foresee: says what is foreseen.
        ignored: codes of errors that are to stop nothing: they become warnings.
        take: gets the events.
    """

    def __init__(self, foresee: Foresee, ignored: Collection[str], take: OnEvent) -> None:
        self._foresee = foresee
        self._ignored = frozenset(ignored)
        self._take = take
        self._answers: dict[str, Answer] = {}
        self._differing: defaultdict[str, list[Inspected]] = defaultdict(list)

    def take(self, event: Event) -> None:
        """Pass on an event; after a survey, what is foreseen from it."""
        self._take(event)
        if isinstance(event, Inspected) and event.changes:
            self._differing[event.host].append(event)
        if isinstance(event, Surveyed):
            outlook = self._foresee(event.host, event, self._differing[event.host])
            errors = [finding for finding in outlook.findings if finding.severity == ERROR]
            against = [finding for finding in errors if finding.code not in self._ignored]
            self._answers[event.host] = Answer(go=not against, findings=against or errors)
            self._take(outlook.replace(findings=[self._judged(finding) for finding in outlook.findings]))

    def answer(self, question: Question, send: Callable[[Answer], None]) -> None:
        """Answer a host that waits after its survey; one that has told nothing is not to go on."""
        if question.host in self._answers:
            send(self._answers.pop(question.host))
        else:
            send(Answer(go=False, findings=[fault("unrecognized-message", "this was not to be asked")]))

    def _judged(self, finding: Finding) -> Finding:
        ignored = finding.severity == ERROR and finding.code in self._ignored
        return finding.replace(severity=WARNING) if ignored else finding
