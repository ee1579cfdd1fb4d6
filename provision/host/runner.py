"""Converging one host: look at everything, fix what differs in order of need, look again."""

from __future__ import annotations

import concurrent.futures
import json
import os
import time
from hashlib import sha256
from typing import Any, Sequence

from provision.host import causes, removal, rollback, turns
from provision.host.failure import Failure
from provision.host.item import Item
from provision.host.light import plainjson
from provision.host.machine import Machine
from provision.host.resource import Changes, State, differences
from provision.host.resources import probe as probes
from provision.host.services import aftermath
from provision.host.services import preflight as questions
from provision.host.state import backup, ground, marks
from provision.host.state import owed as commands
from provision.host.state.ledger import Ledger, removal_order
from provision.host.state.lock import RunLock
from provision.host.threads import each
from provision.wire import events
from provision.wire.finding import WARNING, Finding, warning
from provision.wire.preflight import Preflight

READERS = 8
"""Threads that look at resources."""

SERVICES = ("unit", "process", "container")
"""The resource types that run something, and so can owe a restart."""


def converge(machine: Machine, request: dict[str, Any]) -> events.Done:
    """Carry out the verbs `inspect` and `apply`; return the last event."""
    if request["verb"] == "inspect":
        return Run(machine, request).inspect()
    options = request["options"]
    with RunLock(machine, options.get("who", "somebody")):
        return Run(machine, request).apply()


class Run:
    """One pass over the resources of a request, which come in an order that respects their needs."""

    def __init__(self, machine: Machine, request: dict[str, Any]) -> None:
        self.machine = machine
        self.options: dict[str, Any] = request["options"]
        self.items: dict[str, Item] = {entry["id"]: Item(entry) for entry in request["resources"]}
        self.ledger = Ledger(machine.state)

    # -- looking ------------------------------------------------------------------------------------------

    def inspect(self) -> events.Done:
        """Look at every resource and say what differs. Changes nothing, not even our own state."""
        self._look()
        orphans = self._orphans()
        self._tell(orphans)
        broken = [item for item in self.items.values() if item.error]
        differing = [item for item in self.items.values() if item.changes and not item.error]
        counts = {
            "ok": len(self.items) - len(differing) - len(broken),
            "changed": len(differing),
            "failed": len(broken),
            "skipped": 0,
        }
        return events.Done(ok=not broken, counts=counts, orphans=len(orphans), digest=self._digest())

    def _look(self) -> None:
        slow = [[item] for item in self.items.values() if item.resource.waits]
        quick = [item for item in self.items.values() if not item.resource.waits]
        each(self._read_all, [*slow, quick], READERS)
        self._foresee_restarts()
        self._foresee_commands()

    def _read_all(self, items: Sequence[Item]) -> None:
        for item in items:
            self._read(item)

    def _read(self, item: Item) -> None:
        try:
            expected = item.resource.expected(self.machine)
            item.actual = item.resource.actual(self.machine)
            item.changes = differences(expected, item.actual)
            item.error = None
        except Exception as error:
            item.error = causes.explain(error)

    def _foresee_restarts(self) -> None:
        """Count a service among what differs when something it has read will change under it."""
        for service, because in self._because().items():
            for item in self.items.values():
                if item.service != service:
                    continue
                if item.type in SERVICES and "current" not in item.changes:
                    item.changes = {**item.changes, "current": (False, True)}
                if item.type == "probe" and "proven" not in item.changes:
                    item.changes = {**item.changes, "proven": (False, True)}
            if self._runs(service):
                self.machine.emit(events.Restart(service=service, because=because))

    def _foresee_commands(self) -> None:
        """Count a command among what differs when something will change that it follows."""
        for item in self.items.values():
            if item.changes and not item.error:
                for id, because in _followed(item, item.changes):
                    follower = self.items.get(id)
                    if follower is not None and not follower.error:
                        follower.resource.because.append(because)
                        follower.changes = {**follower.changes, "done": (None, True)}

    def _because(self) -> dict[str, list[str]]:
        because: dict[str, list[str]] = {}
        for item in self.items.values():
            if item.type in SERVICES and item.service:
                owed = marks.pending(self.machine.state, item.service)
                if owed and owed["state"] == "needed":
                    because.setdefault(item.service, []).extend(owed["because"])
        for item in self.items.values():
            if item.changes and not item.error and item.resource.disturbs(item.changes):
                for service in item.triggers:
                    reasons = because.setdefault(service, [])
                    if item.id not in reasons:
                        reasons.append(item.id)
        return because

    def _runs(self, service: str) -> bool:
        """Whether there is something to restart, rather than to start for the first time."""
        return any(
            item.service == service
            and item.type in SERVICES
            and any(item.actual.get(key) for key in ("active", "running"))
            for item in self.items.values()
        )

    def _tell(self, orphans: dict[str, dict[str, Any]]) -> None:
        for item in self.items.values():
            resource = item.resource
            seen = events.Inspected(
                id=item.id, type=item.type, label=item.label, service=item.service, changes=item.changes
            )
            if item.error:
                seen.finding = item.error.finding
            else:
                seen.role = resource.role
                seen.new = bool(item.changes) and resource.new(item.changes)
                try:
                    seen.notes = [*resource.notes(self.machine), *self._homeless(item)]
                    if item.changes:
                        seen.diff = resource.diff(self.machine, item.changes)
                        seen.work = resource.work(self.machine, item.changes)
                except Exception as error:
                    seen.notes = [causes.explain(error).finding.replace(severity=WARNING)]
            self.machine.emit(seen)
        groups: dict[str, list[str]] = {}
        for id, entry in orphans.items():
            groups.setdefault(entry.get("service") or "", []).append(id)
        for service, ids in groups.items():
            ids = removal_order({id: orphans[id] for id in ids})
            playbooks = orphans[ids[0]]["playbooks"]
            self.machine.emit(events.Orphan(service=service or None, playbooks=playbooks, ids=ids))

    def _homeless(self, item: Item) -> list[Finding]:
        """Say of a new file that nobody declares its directory; a package may bring it, so it is no error."""
        parent = os.path.dirname(item.resource.spec.get("path") or "")
        if item.type != "file" or not item.changes or os.path.isdir(parent):
            return []
        made = [each.resource.spec.path for each in self.items.values() if each.type == "directory"]
        if any(path == parent or path.startswith(parent + "/") for path in made):
            return []
        hint = "declare it under `directories:` unless something else makes it"
        return [warning("missing-directory", f"{parent} does not exist", hint)]

    def _orphans(self) -> dict[str, dict[str, Any]]:
        if self.options.get("partial"):
            return {}
        return self.ledger.orphans(self.options.get("playbooks", []), self.items)

    def _digest(self) -> str:
        """Name the state found, so that a saved plan can be told from one that has been overtaken."""
        seen = [(item.id, item.changes, bool(item.error)) for item in self.items.values()]
        return sha256(plainjson.dumps(seen, sort_keys=True).encode()).hexdigest()

    # -- fixing -------------------------------------------------------------------------------------------

    def apply(self) -> events.Done:
        """Fix what differs. What needs something that failed is skipped, and keeps running as it was."""
        self._look()
        orphans = self._orphans()
        self._tell(orphans)
        wanted = self.options.get("digest")
        if wanted and wanted != self._digest():
            raise Failure(
                "plan-outdated",
                "this host has changed since the plan was made",
                hint="make a new plan and look at it",
            )
        self._refuse()
        if not os.path.isdir(self.machine.state):
            ground.lay(self.machine.state)
            self.machine.forget("made")
        self._drop_what_never_came()
        basis, services = self._in_two()
        self._fix_all(basis)
        if self.options.get("prune") and orphans and not any(item.status == "failed" for item in basis):
            # What left the playbook goes before what comes: the two may want the same port.
            removal.remove_entries(self.machine, self.ledger, orphans, self.options["playbooks"])
        self._fix_all(services)
        if not self.options.get("partial"):
            self.ledger.leave_to_others(self.options.get("playbooks", []), self.items)
        unproven = self._prove_the_rest() if self.options.get("verify") else []
        self.ledger.save()
        counts = dict.fromkeys(("ok", "changed", "failed", "skipped"), 0)
        for item in self.items.values():
            counts[item.status] += 1
        ok = not counts["failed"] and not counts["skipped"] and not unproven
        states = {} if ok else self._aftermath(unproven)
        return events.Done(ok=ok, counts=counts, orphans=len(orphans), services=states)

    def _aftermath(self, unproven: list[str]) -> dict[str, str]:
        """Return how each service is of which something did not go well; `unproven` does not answer."""
        troubled = {item.service for item in self.items.values() if item.status in ("failed", "skipped")}
        states: dict[str, str] = {}
        for item in self.items.values():
            if item.type != "probe" or not item.service:
                continue
            if item.service in unproven:
                states[item.service] = aftermath.FAILING
            elif item.service in troubled and item.status not in ("ok", "changed"):
                failed = item.status == "failed"
                states[item.service] = aftermath.state(self.machine, item.resource.spec, failed)
        return states

    def _refuse(self) -> None:
        """Raise what no resource of the run can mend, before anything has been changed."""
        for item in self.items.values():
            if item.error is not None and item.error.final:
                raise Failure(item.error.code, f"{item.label}: {item.error.message}", hint=item.error.hint)

    def _in_two(self) -> tuple[list[Item], list[Item]]:
        """Split into what services stand on, and services with all that needs them."""
        services: dict[str, Item] = {}
        for item in self.items.values():
            if item.type in SERVICES or any(need in services for need in item.needs):
                services[item.id] = item
        return [item for item in self.items.values() if item.id not in services], list(services.values())

    def _fix_all(self, items: list[Item]) -> None:
        waiting = {item.id: item for item in items}
        settled = {item.id for item in self.items.values() if item.status}
        first = turns.before(items)
        work = self._advance(waiting, settled, first)
        if not work:
            return
        running: dict[concurrent.futures.Future[None], Item] = {}
        workers = int(self.options.get("workers") or 4)
        patient = sum(map(_waits_for_others, items))
        pool_of = concurrent.futures.ThreadPoolExecutor
        with pool_of(workers) as busy, pool_of(patient or 1) as waiters:
            while work or running:
                for item in work:
                    pool = waiters if _waits_for_others(item) else busy
                    running[pool.submit(self._settle, item)] = item
                done, _ = concurrent.futures.wait(running, return_when=concurrent.futures.FIRST_COMPLETED)
                for future in done:
                    future.result()
                    settled.add(running.pop(future).id)
                work = self._advance(waiting, settled, first)

    def _advance(
        self, waiting: dict[str, Item], settled: set[str], first: dict[str, list[str]]
    ) -> list[Item]:
        """Conclude what needs no work, for as long as that lets more follow; return what can be worked on."""
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

    def _prove_the_rest(self) -> list[str]:
        """Run the checks of the services that nothing was done to; return which do not answer."""
        ok = [item for item in self.items.values() if item.type == "probe" and item.status == "ok"]
        return [item.service or "" for item in ok if not probes.run_checks(self.machine, item.resource.spec)]

    def _quick(self, item: Item) -> bool:
        """Conclude what needs no work, without a thread."""
        blocker = next(
            (need for need in item.needs if self.items[need].status in ("failed", "skipped")), None
        )
        if blocker is not None:
            became = "failed" if self.items[blocker].status == "failed" else "was skipped"
            reason = f"needs {self.items[blocker].label}, which {became}"
            self._conclude(item, "skipped", item.changes, 0.0, Failure("skipped-step", reason))
            return True
        moved = any(self.items[need].status == "changed" for need in item.needs)
        if not item.changes and not item.error and not moved:
            self._conclude(item, "ok", {}, 0.0)
            return True
        return False

    def _settle(self, item: Item) -> None:
        started = time.monotonic()
        if self.machine.cancelled.is_set():
            self._conclude(
                item, "skipped", item.changes, 0.0, Failure("run-cancelled", "cancelled before it began")
            )
            return
        foreseen = item.changes
        self._read(item)
        if item.error:
            self._conclude(item, "failed", {}, time.monotonic() - started, item.error)
            return
        if not item.changes:
            # A directory on the way to our own state was made when that was.
            made = foreseen if item.resource.spec.get("path") in self._made() else {}
            self._conclude(item, "changed" if made else "ok", made, time.monotonic() - started)
            return
        before, changes = item.actual, item.changes
        self.machine.emit(events.Started(id=item.id, changes=sorted(changes)))
        triggers = item.triggers if item.resource.disturbs(changes) else []
        owed = {service: marks.pending(self.machine.state, service) for service in triggers}
        asked: list[tuple[str, str]] = []
        known = item.id in self.ledger.entries
        # What is begun is ours: an interrupted attempt must not look like something that was there before.
        self._record(item, created=not item.resource.there(before), begun=True)
        self.ledger.save()
        try:
            self._spare(item, triggers)
            for service in triggers:
                if item.type == "file" and triggers == [service]:  # what others have read is not taken back
                    backup.save(self.machine.state, service, item.resource.spec.path)
                marks.need(self.machine.state, service, [item.id])
            for id, because in _followed(item, changes):
                if commands.need(self.machine.state, id, because):
                    asked.append((id, because))
            item.resource.fix(self.machine, changes)
            self._read(item)
            if item.error:
                raise item.error
            if item.changes:
                missed = item.resource.missed(self.machine, item.changes)
                raise missed or Failure("not-converged", f"did not converge: {_still(item.changes)}")
            self._remember(item)
        except Exception as error:
            if self._left_as_it_was(item, before):
                for service, mark in owed.items():
                    marks.withdraw(self.machine.state, service, item.id, mark)
                for id, because in asked:
                    commands.withdraw(self.machine.state, id, because)
                # A service that did not come up may have left a log.
                if not known and item.type not in SERVICES:
                    self.ledger.release(item.id, None)
            self._conclude(item, "failed", changes, time.monotonic() - started, causes.explain(error))
            if item.service and item.type in (*SERVICES, "probe") and self.options.get("rollback", True):
                rollback.undo(self.machine, item.id, item.service)
        else:
            self._conclude(item, "changed", changes, time.monotonic() - started)

    def _remember(self, probe: Item) -> None:
        """Note what a service runs with, once it has answered; a container has no files of ours."""
        if probe.type != "probe" or not probe.service:
            return
        runners = [
            item for item in self.items.values() if item.service == probe.service and item.type in SERVICES
        ]
        if [item.type for item in runners] in (["unit"], ["process"]):
            records = [
                {"id": item.id, "type": item.type, "spec": item.resource.spec.plain()}
                for item in (*runners, probe)
            ]
            backup.commit(self.machine.state, probe.service, *records)

    def _spare(self, item: Item, triggers: Sequence[str]) -> None:
        """Raise before a running service is disturbed for something that it would not start with."""
        stops = item.type in SERVICES and "current" in item.changes
        if not item.service or not (stops or item.service in triggers) or not self._runs(item.service):
            return
        for other in self.items.values():
            if other.service == item.service and other.resource.spec.get("preflight"):
                self._try_out(item, item.service, other.resource.spec.preflight)

    def _try_out(self, item: Item, service: str, preflight: Preflight) -> None:
        """Ask whether a service would start, once for all its resources: what it stands on is in place."""
        refused = self.machine.once(
            ("preflight", service), lambda: questions.refusal(self.machine, item.id, service, preflight)
        )
        if refused:
            raise refused

    def _left_as_it_was(self, item: Item, before: State) -> bool:
        """Whether a failed fix has changed nothing, so that nothing is owed for it."""
        self._read(item)
        return item.error is None and item.actual == before

    def _record(self, item: Item, created: bool, begun: bool = False) -> None:
        entry: dict[str, Any] = {
            "type": item.type,
            "label": item.label,
            "playbooks": item.playbooks,
            "service": item.service,
            "spec": {key: item.resource.spec.get(key) for key in item.resource.identity},
            "created": created,
        }
        self.ledger.record(item.id, {**entry, "begun": True} if begun else entry)

    def _made(self) -> list[str]:
        """Return the directories that were made for our own state."""
        return self.machine.once("made", lambda: ground.made(self.machine.state))

    def _drop_what_never_came(self) -> None:
        """Forget what a run that was killed had only begun, where nothing came of it.

        Whoever makes it by hand from now on makes it his own.
        """
        for item in self.items.values():
            # A service that never ran may have left a log.
            if item.type not in SERVICES and not item.error and not item.resource.there(item.actual):
                self.ledger.drop_begun(item.id)

    def _conclude(
        self, item: Item, status: str, changes: Changes, seconds: float, failure: Failure | None = None
    ) -> None:
        item.status = status
        if status in ("ok", "changed"):
            self.ledger.confirm(item.id)
            if not self.ledger.knows(item.id, item.playbooks):
                self._record(item, created=item.resource.spec.get("path") in self._made())
        finding = failure.finding if failure else None
        seconds = round(seconds, 3)
        self.machine.emit(
            events.Result(id=item.id, status=status, changes=changes, seconds=seconds, finding=finding)
        )


def _followed(item: Item, changes: Changes) -> list[tuple[str, str]]:
    """Return the commands that follow these changes of a resource, each with the reason in words."""
    if not item.followers or not item.resource.disturbs(changes):
        return []
    found = []
    for id, names in item.followers.items():
        parts = [f"package {name}" for name in names if name in changes] if names else [item.label]
        found += [(id, part) for part in parts]
    return found


def _waits_for_others(item: Item) -> bool:
    """Whether it mostly waits, for an answer or its turn on a GPU: other work must not wait behind it."""
    return item.type == "probe" or bool(item.resource.spec.get("cards"))


def _still(changes: Changes) -> str:
    return ", ".join(
        f"{key} is {json.dumps(actual)} and should be {json.dumps(expected)}"
        for key, (actual, expected) in sorted(changes.items())
    )
