"""What an apply changes of services, for their history: noted before it begins, and how it ended."""

from __future__ import annotations

import os
from typing import Any, Iterable, Iterator, Mapping, Sequence

from provision.host import foreseeing
from provision.host.item import Item
from provision.host.machine import Machine
from provision.host.state import backup
from provision.host.state.ledger import Ledger
from provision.host.state.revisions import Revisions, snapshot
from provision.wire.finding import Finding
from provision.wire.requests import Request
from provision.wire.revision import BEGUN, FAILED, PROVEN, ROLLED_BACK


class Attempts:
    """What this run changes of each service.

    Args:
        machine: where it runs.
        items: all of the run, by id.
        ledger: what is here, as it is before the run.
        request: says who asks, and from which commit.
        ignored: what was foreseen and is ignored on purpose.
    """

    def __init__(
        self,
        machine: Machine,
        items: dict[str, Item],
        ledger: Ledger,
        request: Request,
        ignored: Iterable[Finding],
    ) -> None:
        self._machine = machine
        self._items = items
        self._ledger = ledger
        self._request = request
        self._ignored = sorted({each.code for each in ignored})
        self._begun: dict[str, int] = {}
        self._outcomes: dict[str, str] = {}

    def begin(self, led: Mapping[str, Sequence[str]]) -> None:
        """Note each service that is going to change.

        Args:
            led: the services that are restarted for other nodes alone, and for which.
        """
        for service, because in {**{each: [] for each in led}, **self._reasons()}.items():
            found = [self._items[id] for id in because if id in self._items]
            found += [item for item in self._touching(service) if item.changes and item not in found]
            revisions = self._of(service)
            if not revisions.history():
                self._note_former(service, revisions)
            changes = [_words(item, self._machine, self._ledger) for item in found]
            if service in led and not changes:
                changes = [f"restarted with {' and '.join(led[service])}"]
            if not revisions.history():
                changes = ["first start"]
            self._begun[service] = revisions.begin(
                self._request.who, changes, self._request.origin, self._ignored, self._request.change
            )
        self._go_on()

    def _go_on(self) -> None:
        """Take over what a killed run has changed and started, where only the answer is left to come."""
        for item in self._items.values():
            if item.proves and item.service and item.changes and item.service not in self._begun:
                last = self._of(item.service).history()[-1:]
                if last and last[0].outcome == BEGUN:
                    self._begun[item.service] = last[0].number

    def _reasons(self) -> dict[str, list[str]]:
        """Return the services that change, each with the ids of what changes."""
        found = foreseeing.reasons(self._machine, self._items)
        for item in self._items.values():
            alone = item.runs and item.service and item.resource.made_from_spec and not item.error
            if alone and item.resource.told(self._machine, item.changes):
                found.setdefault(item.service or "", []).append(item.id)
        return found

    def proved(self, service: str, runner: dict[str, Any] | None, probe: dict[str, Any]) -> None:
        """Note that a service has answered; `runner`: None for what cannot be run again from files."""
        number = self._begun.get(service)
        if number is None:
            return
        if runner is None:
            self._of(service).conclude(number, PROVEN)
        else:
            self._of(service).prove(number, self._ran(service, self._directories(service), runner, probe))
        self._outcomes[service] = PROVEN

    def restored(self, service: str) -> None:
        """Note that a service answers as before the change."""
        self._outcomes[service] = ROLLED_BACK

    def conclude(self) -> None:
        """Note what became of all that was begun; what was cut off is left to the next run."""
        for service, number in self._begun.items():
            outcome = self._outcomes.get(service, BEGUN if self._machine.cancelled.is_set() else FAILED)
            if outcome not in (PROVEN, BEGUN):
                self._of(service).conclude(number, outcome)

    def _of(self, service: str) -> Revisions:
        return Revisions(self._machine.state, service)

    def _touching(self, service: str) -> Iterator[Item]:
        """Give what a service reads."""
        for item in self._items.values():
            if service in item.triggers:
                yield item

    def _note_former(self, service: str, revisions: Revisions) -> None:
        """Keep what a service has last answered with under a version that kept no revisions."""
        record = backup.read(self._machine.state, service)
        if record is None:
            return
        places = []
        for item in self._touching(service):
            entry = self._ledger.entries.get(item.id)
            if entry and not item.resource.restorable() and "path" in entry["spec"]:
                places.append(entry["spec"]["path"])
        number = revisions.begin(None, ["as an earlier version has left it"])
        revisions.prove(number, self._ran(service, places, record["runner"], record["probe"]))

    def _directories(self, service: str) -> list[str]:
        touching = [item for item in self._touching(service) if not item.resource.restorable()]
        return [item.resource.spec.path for item in touching if hasattr(item.resource.spec, "path")]

    def _ran(
        self, service: str, places: list[str], runner: dict[str, Any], probe: dict[str, Any]
    ) -> dict[str, Any]:
        files = [(item, item.resource.restorable()) for item in self._touching(service)]
        # A file that several services have read is not put back.
        alone = [path for item, path in files if path and item.triggers == [service]]
        ran = snapshot(alone, places, runner, probe)
        editions = {}
        for item in self._touching(service):
            edition = item.resource.edition(self._machine)
            if edition:
                spec = {key: item.resource.spec.plain()[key] for key in item.resource.identity}
                editions[item.id] = {"type": item.type, "spec": spec, "edition": edition}
        return {**ran, "editions": editions}


def _words(item: Item, machine: Machine, ledger: Ledger) -> str:
    """Return what changes of a resource, without what may be secret."""
    label = os.path.basename(item.label) if item.label.startswith("/") else item.label
    details: list[str] = []
    try:
        kept = ledger.entries.get(item.id, {}).get("kept", {})
        options = item.resource.changed_options(kept, item.changes) if item.changes else None
        if options:
            details = _options(*options)
        details = details or (item.resource.told(machine, item.changes) if item.changes else [])
    except Exception:
        pass  # only words
    return f"{label}: {', '.join(details)}" if details else label


def _options(before: list[list[str]], after: list[list[str]]) -> list[str]:
    """Return each option that differs: `--max-num-seqs 32 → 64`."""
    was = {words[0]: " ".join(words[1:]) for words in before if words}
    now = {words[0]: " ".join(words[1:]) for words in after if words}
    differing = [name for name in {**was, **now} if was.get(name) != now.get(name)]
    return [_option(name, was.get(name), now.get(name)) for name in differing]


def _option(name: str, was: str | None, now: str | None) -> str:
    if was is None:
        return f"{name} {now}".strip()
    if now is None:
        return f"without {name}"
    return f"{name} {was or 'set'} → {now or 'set'}"
