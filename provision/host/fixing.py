"""Fixing what differs: several resources at the same time, each after all that it needs."""

from __future__ import annotations

import concurrent.futures
import json
import time
from typing import Any, Sequence

from provision.host import attempts, causes, foreseeing, meetings, rollback, rotation
from provision.host.accounts import order
from provision.host.failure import Failure
from provision.host.item import Item
from provision.host.machine import Machine
from provision.host.resource import Changes, State
from provision.host.services import preflight as questions
from provision.host.state import backup, ground, owed
from provision.host.state.ledger import Ledger
from provision.wire import events, server
from provision.wire.events import Work
from provision.wire.requests import Apply


class Fixing:
    """Fixes items of a run.

    Args:
        machine: where it runs.
        items: all of the run, by id.
        ledger: gets what is fixed.
        asked: how to go about it.
        attempts: is told what becomes of services; None where none changes.
        gateways: those in front of services, which have to leave before they are stopped.
        meetings: with the other nodes of services that run over several hosts.
    """

    def __init__(
        self,
        machine: Machine,
        items: dict[str, Item],
        ledger: Ledger,
        asked: Apply,
        attempts: attempts.Attempts | None,
        gateways: rotation.Gateways,
        meetings: meetings.Meetings,
    ) -> None:
        self.machine = machine
        self.items = items
        self.ledger = ledger
        self.asked = asked
        self.attempts = attempts
        self.gateways = gateways
        self.meetings = meetings

    def fix(self, items: list[Item]) -> None:
        """Fix what differs of some items, each after all that it needs, and report each result."""
        waiting = {item.id: item for item in items}
        settled = {item.id for item in self.items.values() if item.status}
        first = order.before(items)
        work = self._advance(waiting, settled, first)
        if not work:
            return
        running: dict[concurrent.futures.Future[None], Item] = {}
        patient = sum(map(self._patient, items))
        pool_of = concurrent.futures.ThreadPoolExecutor
        with pool_of(self.asked.workers) as busy, pool_of(patient or 1) as waiters:
            while work or running:
                for item in work:
                    pool = waiters if self._patient(item) else busy
                    running[pool.submit(self._settle, item)] = item
                done, _ = concurrent.futures.wait(running, return_when=concurrent.futures.FIRST_COMPLETED)
                for future in done:
                    future.result()
                    settled.add(running.pop(future).id)
                work = self._advance(waiting, settled, first)

    def _patient(self, item: Item) -> bool:
        """Whether it may wait for others, and so keeps no worker from those that it waits for."""
        return item.resource.waits_for_others() or self.meetings.waits(item)

    def _advance(
        self, waiting: dict[str, Item], settled: set[str], first: dict[str, list[str]]
    ) -> list[Item]:
        """Finish what needs no work, and what can follow it; return what can be worked on now."""
        work: list[Item] = []
        moved = True
        while moved:
            moved = False
            for id, item in list(waiting.items()):
                if settled.issuperset(item.needs) and settled.issuperset(first.get(id, ())):
                    del waiting[id]
                    if self._quick(item):
                        settled.add(id)
                        moved = True
                    else:
                        work.append(item)
        return work

    def _quick(self, item: Item) -> bool:
        """Finish what needs no work, without a thread; whether that was possible."""
        needed = [self.items[need] for need in item.needs]
        blocker = next((each for each in needed if each.status in ("failed", "skipped")), None)
        if blocker is not None:
            became = "failed" if blocker.status == "failed" else "was skipped"
            reason = Failure("skipped-step", f"needs {blocker.label}, which {became}")
            self._conclude(item, "skipped", item.changes, reason)
            return True
        if item.changes or item.error or any(each.status == "changed" for each in needed):
            return False
        self._conclude(item, "ok", {})
        return True

    def _settle(self, item: Item) -> None:
        item.began = time.monotonic()
        if self.machine.cancelled.is_set():
            cancelled = Failure("run-cancelled", "cancelled before it began")
            self._conclude(item, "skipped", item.changes, cancelled)
            return
        foreseen = item.changes
        item.read(self.machine)
        if item.error:
            self._conclude(item, "failed", {}, item.error)
            return
        if not item.changes and self.meetings.leads(item):
            item.changes = dict(item.resource.due)
        if not item.changes:
            # A directory above our own state was made together with it.
            made = foreseen if item.resource.makes_directory() in self._made() else {}
            self._conclude(item, "changed" if made else "ok", made)
            return
        before, changes = item.actual, item.changes
        self.machine.emit(events.Started(id=item.id, changes=sorted(changes)))
        triggers = item.triggers if item.resource.restarts(changes) else []
        state = self.machine.state
        due = [(owed.restart(state, service), item.id) for service in triggers]
        due += [(owed.run(state, id), because) for id, because in foreseeing.followed(item, changes)]
        earlier = [each.read() for each, _ in due]
        known = item.id in self.ledger.entries
        # Noted before it is made: an interrupted attempt must not look like something that was there before.
        self._record(item, created=not item.resource.there(before), begun=True)
        self.ledger.save()
        try:
            self._spare(item, triggers)
            if triggers or item.runs:
                self.meetings.compare(item)
            file = item.resource.restorable()
            if file and len(triggers) == 1:  # a file that several services have read is not put back
                backup.save(state, triggers[0], file)
            for each, reason in due:
                each.need(reason)
            if item.runs and item.service:
                item.resource.begins(self.machine)
                self.gateways.leave(item.service, item.resource.work(self.machine, changes))
                self.meetings.stop(item)
            if item.runs and item.resource.disturbs(changes):
                self._end_followers(item)
            self.meetings.prove(item)
            item.resource.remember = lambda life: self._remember(item, life)
            item.resource.fix(self.machine, changes)
            item.read(self.machine)
            if item.error:
                raise item.error
            if item.changes:
                missed = item.resource.missed(self.machine, item.changes)
                raise missed or Failure("not-converged", f"did not converge: {_still(item.changes)}")
            self.meetings.back(item, self.gateways)
        except rotation.InService as refused:
            self._conclude(item, "failed", changes, refused)
            service = item.service if item.runs and self.asked.rollback else None
            if service and rollback.withdraw(self.machine, item.id, service) and self.attempts:
                self.attempts.restored(service)
        except Exception as error:
            if self._left_as_it_was(item, before):
                for (each, reason), note in zip(due, earlier):
                    each.withdraw(reason, note)
                # A service that did not start may have left a log.
                if not known and not item.runs:
                    self.ledger.release(item.id, None)
            failure = causes.explain(error)
            self._conclude(item, "failed", changes, failure)
            self.meetings.failed(item, failure)
            if item.service and item.resource.role and self.asked.rollback:
                runners = [each for each in self.items.values() if each.service == item.service and each.runs]
                back = rollback.undo(
                    self.machine,
                    item.id,
                    item.service,
                    [each.resource for each in runners],
                    item.service in self.meetings.led,
                )
                if back and self.attempts:
                    self.attempts.restored(item.service)
                if back:
                    self.gateways.restored(item.service)
        else:
            self._conclude(item, "changed", changes)

    def _end_followers(self, item: Item) -> None:
        """Let services end that cannot run without this one, before it stops.

        As before any other stop, their nodes are compared, gateways pass no new requests to them, and all
        nodes of one end together.
        """
        for other in self.items.values():
            if (
                other.runs
                and other.service
                and other.service != item.service
                and other.service in item.triggers
            ):
                if foreseeing.runs(self.items, other.service):
                    self.meetings.compare(other)
                    self.gateways.leave(other.service, Work(restart=other.service))
                    self.meetings.stop(other)
                other.resource.end(self.machine)

    def _remember(self, probe: Item, life: str) -> None:
        """Note what a service runs with, once this life of it has answered."""
        if not probe.service:
            return
        runners = [item for item in self.items.values() if item.service == probe.service and item.runs]
        records = [
            {"id": item.id, "type": item.type, "spec": item.resource.as_run(self.machine)}
            for item in (*runners, probe)
        ]
        runner = records[0] if len(runners) == 1 else None
        if runner:
            backup.commit(self.machine.state, probe.service, runner, records[-1], life)
        if self.attempts:
            self.attempts.proved(probe.service, runner, records[-1])

    def _spare(self, item: Item, triggers: Sequence[str]) -> None:
        """Raise `Failure` before a running service is stopped or changed, if it would not start again."""
        service = item.service
        stops = item.runs and item.resource.due.keys() <= item.changes.keys()
        if service and (stops or service in triggers) and foreseeing.runs(self.items, service):
            for other in self.items.values():
                question = other.resource.preflight()
                if other.service == service and question:
                    self._try_out(item, service, question)

    def _try_out(self, item: Item, service: str, preflight: server.Preflight) -> None:
        """Ask whether a service would start, once for all its resources: what it needs is there by now."""
        refused = self.machine.once(
            ("preflight", service), lambda: questions.refusal(self.machine, item.id, service, preflight)
        )
        if refused:
            raise refused

    def _left_as_it_was(self, item: Item, before: State) -> bool:
        """Whether a failed fix has changed nothing, so that no restart is needed for it."""
        item.read(self.machine)
        return item.error is None and item.actual == before

    def _record(self, item: Item, created: bool, begun: bool = False) -> None:
        spec = item.resource.spec.plain()
        entry: dict[str, Any] = {
            "type": item.type,
            "label": item.label,
            "playbooks": item.playbooks,
            "service": item.service,
            "spec": {key: spec[key] for key in item.resource.identity},
            "created": created,
        }
        kept = item.resource.kept()
        if kept:
            entry["kept"] = kept
        self.ledger.record(item.id, {**entry, "begun": True} if begun else entry)

    def _made(self) -> list[str]:
        """Return the directories that were made for our own state."""
        return self.machine.once("made", lambda: ground.made(self.machine.state))

    def _conclude(self, item: Item, status: str, changes: Changes, failure: Failure | None = None) -> None:
        item.status = status
        if status in ("ok", "changed"):
            self.ledger.confirm(item.id)
            path = getattr(item.resource.spec, "path", None)
            if not self.ledger.knows(item.id, item.playbooks, path):
                self._record(item, created=item.resource.makes_directory() in self._made())
        if status in ("failed", "skipped"):
            self.meetings.gave_up(item, failure)
        finding = failure.finding if failure else None
        seconds = round(time.monotonic() - item.began, 3) if item.began else 0.0
        self.machine.emit(
            events.Result(id=item.id, status=status, changes=changes, seconds=seconds, finding=finding)
        )


def _still(changes: Changes) -> str:
    return ", ".join(
        f"{key} is {json.dumps(actual)} and should be {json.dumps(expected)}"
        for key, (actual, expected) in sorted(changes.items())
    )
