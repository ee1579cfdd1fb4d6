"""How a run went: what the next step and the exit code depend on."""

from __future__ import annotations

from typing import TYPE_CHECKING

from provision.wire.events import Done, Event, Inspected, Orphan, Removed, Result
from provision.wire.finding import ERROR
from provision.wire.rollout import Outlook

if TYPE_CHECKING:
    from provision.transport.target import Status


class Summary:
    """What has become of all hosts.

    - `outcomes`: by host, in the order of the targets.
    - `cancelled`: the user has ended the run.
    - `digests`: by host, of what was found there; an apply with a digest refuses where it is another one.
    - `differing`: hosts where something is not as declared and could be inspected.
    - `orphaned`: hosts that have something which no playbook declares any more.
    - `changed`: hosts where something was changed.
    - `removed`: hosts where something was removed, or would be.
    - `doomed`: hosts where it is foreseen that something will not work.
    """

    def __init__(self) -> None:
        self.outcomes: dict[str, Status] = {}
        self.cancelled = False
        self.digests: dict[str, str] = {}
        self.differing: set[str] = set()
        self.orphaned: set[str] = set()
        self.changed: set[str] = set()
        self.removed: set[str] = set()
        self.doomed: set[str] = set()

    @property
    def ok(self) -> bool:
        """Whether every host did everything it was asked to, and what was planned can work."""
        done = all(status == "ok" for status in self.outcomes.values())
        return done and not self.cancelled and not self.doomed

    @property
    def exit_code(self) -> int:
        """0 when every host did what it was asked, 130 after ^C, 1 otherwise."""
        return 130 if self.cancelled else int(not self.ok)

    def hear(self, event: Event) -> None:
        """Remember what an event means for the next step."""
        match event:
            case Inspected() if event.changes and not event.finding:
                self.differing.add(event.host)
            case Orphan():
                self.orphaned.add(event.host)
            case Result(status="changed"):
                self.changed.add(event.host)
            case Removed():
                self.removed.add(event.host)
            case Outlook() if any(finding.severity == ERROR for finding in event.findings):
                self.doomed.add(event.host)
            case Done() if event.digest:
                self.digests[event.host] = event.digest

    def end(self, outcomes: dict[str, Status], cancelled: bool) -> None:
        """Add how a part of the run ended."""
        self.outcomes.update(outcomes)
        self.cancelled = self.cancelled or cancelled
