"""What the events have told of each host so far."""

from __future__ import annotations

from collections.abc import Iterable

from provision.show.items import Item, Located
from provision.show.words import count, human_bytes
from provision.wire import events, rollout, statuses
from provision.wire.finding import ERROR, Finding


class HostReport:
    """Everything that one host has told."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.hello: events.Hello | None = None
        self.inspected: dict[str, events.Inspected] = {}
        self.results: dict[str, events.Result] = {}
        self.restarts: dict[str, events.Restart] = {}
        self.outlook: rollout.Outlook | None = None
        self.orphans: list[events.Orphan] = []
        self.removed: list[events.Removed] = []
        self.proofs: list[events.Proof] = []
        self.services: list[statuses.ServiceStatus] = []
        self.notes: list[Finding] = []
        self.error: events.Error | None = None
        self.unreachable: rollout.Unreachable | None = None
        self.done: events.Done | None = None

    def take(self, event: events.Event) -> None:
        """Remember one event."""
        match event:
            case events.Hello():
                self.hello = event
            case events.Inspected():
                self.inspected[event.id] = event
            case events.Result():
                self.results[event.id] = event
            case events.Restart():
                self.restarts[event.service] = event
            case rollout.Outlook():
                self.outlook = event
            case events.Orphan():
                self.orphans.append(event)
            case events.Removed():
                self.removed.append(event)
            case events.Proof():
                self.proofs.append(event)
            case statuses.ServiceStatus():
                self.services.append(event)
            case events.Note():
                self.notes.append(event.finding)
            case events.Error():
                self.error = event
            case rollout.Unreachable():
                self.unreachable = event
            case events.Done():
                self.done = event
            case _:
                pass

    @property
    def ok(self) -> bool:
        """Whether the host did everything it was asked to."""
        return self.done is not None and self.done.ok and self.error is None

    @property
    def foreseen(self) -> list[Finding]:
        """What will not work, as it is foreseen."""
        return [finding for finding in self._told() if finding.severity == ERROR]

    @property
    def doubts(self) -> list[Finding]:
        """What may not work, and what is good to know."""
        return [finding for finding in self._told() if finding.severity != ERROR]

    def _told(self) -> list[Finding]:
        return [*(self.outlook.findings if self.outlook else ()), *self.notes]

    @property
    def held(self) -> bool:
        """Whether nothing was done on the host because others had failed before its turn."""
        return self.error is not None and self.error.finding.code == events.STOPPED

    @property
    def cut(self) -> bool:
        """Whether ^C has ended the run before the host was done."""
        told = [self.error, *self.results.values()]
        return any(each and each.finding and each.finding.code == events.CANCELLED for each in told)

    @property
    def left(self) -> list[str]:
        """What ^C has left undone: the labels of what differed, and was neither brought about nor failed."""
        if not self.cut:
            return []
        done = [
            id
            for id, result in self.results.items()
            if result.status in ("ok", "changed")
            or (result.status == "failed" and result.finding and result.finding.code != events.CANCELLED)
        ]
        ids = [seen.id for seen in self.differing]
        ids += [id for id in self.results if id not in ids]
        return [self.label(id) for id in ids if id not in done]

    @property
    def about(self) -> str | None:
        """What kind of machine the host is, in a few words; None before it has told."""
        if self.hello is None:
            return None
        facts = self.hello.facts
        words = [facts.os, f"Python {self.hello.python}"]
        if facts.cpus:
            words.append(count(facts.cpus, "CPU"))
        words.append(f"{human_bytes(facts.memory)} memory")
        return ", ".join(words)

    @property
    def differing(self) -> list[events.Inspected]:
        """The resources that are not as declared, or could not be inspected."""
        return [seen for seen in self.inspected.values() if seen.changes or seen.finding]

    def told(self, result: events.Result) -> Finding | None:
        """Return the failure of a check that a result only repeats; None if it says something else."""
        for proof in reversed(self.proofs):
            failure = proof.finding
            if failure and result.finding and result.finding.message == f"{proof.check}: {failure.message}":
                return failure
        return None

    def label(self, id: str) -> str:
        """Return what to call a resource."""
        seen = self.inspected.get(id)
        return seen.label if seen else id


class Report:
    """All hosts of a run.

    Args:
        names: the hosts of the run, in the order in which they are shown.
    """

    def __init__(self, names: Iterable[str] = ()) -> None:
        self.hosts: dict[str, HostReport] = {name: HostReport(name) for name in names}

    def take(self, item: Item) -> None:
        """Remember an event of a host, or a finding that is about one."""
        if isinstance(item, Located) and item.host is not None:
            self._of(item.host).notes.append(item.finding)
        elif isinstance(item, events.Event) and item.host:
            self._of(item.host).take(item)

    def _of(self, host: str) -> HostReport:
        if host not in self.hosts:
            self.hosts[host] = HostReport(host)
        return self.hosts[host]
