"""Converging one host: look at everything, say what differs, and fix it."""

from __future__ import annotations

import os
from hashlib import sha256
from typing import Any, Iterable, Sequence

from provision.host import attempts, causes, foreseeing, meetings, places, removal, rotation, uses
from provision.host.failure import Failure
from provision.host.fixing import Fixing
from provision.host.item import Item
from provision.host.machine import Machine
from provision.host.preflight import preflight, scene
from provision.host.services import aftermath, survey
from provision.host.services.gpus import leftovers
from provision.host.state import ground, overrides, revisions, scraps
from provision.host.state.ledger import Ledger
from provision.host.state.lock import Left, RunLock, under
from provision.host.threads import each
from provision.wire import events, plainjson, questions
from provision.wire.finding import WARNING, Finding, warning
from provision.wire.requests import Apply, Converging, Request

READERS = 8
"""Threads that look at resources."""


def converge(machine: Machine, request: Request, asked: Converging) -> events.Done:
    """Carry out the verbs `inspect` and `apply`; return the last event."""
    if not isinstance(asked, Apply):
        return Run(machine, request, asked).inspect()
    lock = RunLock(machine, request.who, asked.doing, asked.patience)
    return under(machine, lock, lambda: Run(machine, request, asked).apply(asked, request.digest, lock))


class Run:
    """One pass over resources, which come in an order that respects their needs."""

    def __init__(self, machine: Machine, request: Request, asked: Converging) -> None:
        self.machine = machine
        self.asked = asked
        self.request = request
        request, self.items, self._moved = places.found(machine, request)
        self.stakes = request.stakes
        self.ledger = Ledger(machine.state)
        self.meetings = meetings.Meetings(machine, request.host, self.items)
        self._left_over: list[int] = []
        """The pids of workers of ended servers that are to end before services start."""
        self._errors: list[Finding] = []
        """What cannot work on this host, whatever the run does before it."""
        self._ignored: list[Finding] = []
        """The same, of the codes that are to stop nothing."""

    def inspect(self) -> events.Done:
        """Look at every resource and say what differs. Changes nothing, not even our own state."""
        orphans = self._look()
        surveyed = self._survey()
        if surveyed is not None:
            self.machine.emit(surveyed)
        counts = _counts(
            "failed" if item.error else "changed" if item.changes else "ok" for item in self.items.values()
        )
        ok, digest = not counts["failed"] and not self._errors, self._digest()
        return events.Done(ok=ok, counts=counts, orphans=len(orphans), digest=digest)

    def _look(self) -> dict[str, dict[str, Any]]:
        """Look at every resource, and tell how each is; return what is left over from earlier runs."""
        slow = [item for item in self.items.values() if item.resource.waits]
        quick = [item for item in self.items.values() if not item.resource.waits]
        # What is quick is not worth a thread of its own.
        each(self._read, [*([item] for item in slow[:-1]), [*quick, *slow[-1:]]], READERS)
        foreseeing.foresee(self.machine, self.items, self.request.fronted)
        self._meet()
        self._tell_of_rollbacks()
        orphans = {} if self.asked.partial else self.ledger.orphans(self.asked.playbooks, self.items)
        if self._differs():
            prunes = not isinstance(self.asked, Apply) or self.asked.prune
            run = scene.Scene(self.machine, self.items, self.ledger.entries, orphans, prunes)
            self._errors, self._ignored = preflight.look(run, self.asked.ignore)
        self._tell(orphans)
        return orphans

    def _meet(self) -> None:
        """Add the restarts of services over several hosts that start on others.

        Raises:
            Failure: an apply would start such a service, and another of its nodes has failed.
        """
        try:
            self.meetings.look()
        except Failure as failure:
            if isinstance(self.asked, Apply):
                raise
            self.machine.emit(events.Note(finding=failure.finding.replace(severity=WARNING)))

    def _tell_of_rollbacks(self) -> None:
        """Say so where somebody has gone back by hand, and an apply would go forward again."""
        for item in self.items.values():
            if item.proves and item.changes and item.service:
                text = revisions.went_back(self.machine.state, item.service)
                if text:
                    self.machine.emit(events.Note(finding=warning("rolled-back-by-hand", text)))

    def _read(self, items: Sequence[Item]) -> None:
        for item in items:
            item.read(self.machine)

    def _tell(self, orphans: dict[str, dict[str, Any]]) -> None:
        for item in self.items.values():
            resource = item.resource
            seen = events.Inspected(
                id=item.id,
                type=item.type,
                label=item.label,
                service=item.service,
                role=resource.role,
                changes=item.changes,
            )
            if item.error:
                seen.finding = item.error.finding
            else:
                seen.new = bool(item.changes) and resource.new(item.changes)
                try:
                    seen.notes = [*resource.notes(self.machine), *self._missing_directory(item)]
                    if item.changes:
                        seen.diff = resource.diff(self.machine, item.changes)
                        kept = self.ledger.entries.get(item.id, {}).get("kept", {})
                        seen.options = resource.changed_options(kept, item.changes)
                        seen.work = resource.work(self.machine, item.changes)
                except Exception as error:
                    seen.notes = [causes.explain(error).finding.replace(severity=WARNING)]
            self.machine.emit(seen)
        groups: dict[str, list[str]] = {}
        for id, entry in orphans.items():
            groups.setdefault(entry.get("service") or "", []).append(id)
        for service, ids in groups.items():
            ids = removal.in_order({id: orphans[id] for id in ids})
            playbooks = orphans[ids[0]]["playbooks"]
            self.machine.emit(events.Orphan(service=service or None, playbooks=playbooks, ids=ids))

    def _differs(self) -> bool:
        """Whether anything is not as declared."""
        return any(item.changes for item in self.items.values())

    def _missing_directory(self, item: Item) -> list[Finding]:
        """Warn of a directory that must exist and that nobody declares."""
        wanted = item.resource.wants_directory()
        if not wanted or not item.changes or os.path.isdir(wanted):
            return []
        made = [path for each in self.items.values() for path in [each.resource.makes_directory()] if path]
        if any(path == wanted or path.startswith(wanted + "/") for path in made):
            return []
        hint = "declare it under `directories:` unless something else makes it"
        return [warning("missing-directory", f"{wanted} does not exist", hint)]

    def _digest(self) -> str:
        """Return a hash of the state found, so that an outdated saved plan is recognized."""
        seen = [(item.id, item.changes, bool(item.error)) for item in self.items.values()]
        return sha256(plainjson.dumps(seen, sort_keys=True).encode()).hexdigest()

    def apply(self, asked: Apply, digest: str | None, lock: RunLock) -> events.Done:
        """Fix what differs. What needs something that failed is skipped, and stays as it was.

        Raises:
            Left: nothing was changed, because this host is to be left to another run first.
            Failure: the host is not as it was when the plan with this digest was made; or a service is
                foreseen not to run.
        """
        orphans = self._look()
        if digest and digest != self._digest():
            raise Failure(
                "plan-outdated",
                "this host has changed since the plan was made",
                hint="make a new plan and check it",
            )
        self._refuse()
        ignored = self._agree()
        self._await_turn(asked, orphans, lock)
        if not os.path.isdir(self.machine.state):
            ground.lay(self.machine.state)
            self.machine.forget("made")
        if ignored:
            overrides.note(self.machine.state, self.request.who, ignored)
        scraps.sweep_all(self.machine.state)
        self._forget_what_was_never_made()
        needed, services = self._split()
        tried = None
        if self._differs():
            tried = attempts.Attempts(self.machine, self.items, self.ledger, self.request, ignored)
            tried.begin(self.meetings.led)
        gateways = rotation.Gateways(self.machine, self.request.fronted, self.request.who)
        fixing = Fixing(self.machine, self.items, self.ledger, asked, tried, gateways, self.meetings)
        fixing.fix(needed)
        if asked.prune and orphans and not any(item.status == "failed" for item in needed):
            # What has left the playbook is removed before services start: both may want the same port.
            removal.remove_entries(self.machine, self.ledger, orphans, asked.playbooks, gateways)
        if self._left_over:
            leftovers.end(self.machine, self._left_over)
        fixing.fix(services)
        if tried:
            tried.conclude()
        if not self.asked.partial:
            self.ledger.leave_to_others(self.asked.playbooks, self.items)
        unproven = self._prove_the_rest() if asked.verify else []
        self.ledger.save()
        counts = _counts(item.status for item in self.items.values())
        ok = not counts["failed"] and not counts["skipped"] and not unproven
        if ok:
            self._tidy()
        states = {} if ok else self._aftermath(unproven)
        return events.Done(ok=ok, counts=counts, orphans=len(orphans), services=states)

    def _tidy(self) -> None:
        """Delete what former declarations have left, and nothing needs any more."""
        for item in self.items.values():
            item.resource.former = self.ledger.former(item.id)
            item.resource.tidy(self.machine, self._used)
            self.ledger.keep_former(item.id, filter(os.path.exists, item.resource.former))
        self.ledger.save()

    def _used(self, path: str) -> bool:
        """Whether anything on this host needs a directory."""
        state = self.machine.state
        return self.machine.once("uses", lambda: uses.Uses(state, self.ledger)).of(path)

    def _aftermath(self, unproven: list[str]) -> dict[str, str]:
        """Return the state of each service that something failed for; those in `unproven` do not answer."""
        troubled = {item.service for item in self.items.values() if item.status in ("failed", "skipped")}
        states: dict[str, str] = {}
        for item in self.items.values():
            if not item.proves or not item.service:
                continue
            if item.service in unproven:
                states[item.service] = aftermath.FAILING
            elif item.service in troubled and item.status not in ("ok", "changed"):
                failed = item.status == "failed"
                states[item.service] = aftermath.state(self.machine, item.resource.spec, failed)
        return states

    def _refuse(self) -> None:
        """Raise, before anything is changed, an error that no resource of the run can remove."""
        for item in self.items.values():
            if item.error is not None and item.error.final:
                raise Failure(item.error.code, f"{item.label}: {item.error.message}", hint=item.error.hint)

    def _await_turn(self, asked: Apply, orphans: dict[str, dict[str, Any]], lock: RunLock) -> None:
        """Wait for the wave of this host, if there are waves and something is to be changed.

        Raises:
            Left: this host is to be left to another run.
            Failure: no more hosts are changed.
        """
        if not asked.waves or not (self._differs() or (asked.prune and orphans)):
            return
        lock.tell("waits for its turn")
        answer = self.machine.ask(questions.Turn(), endless=True)
        if answer.leave:
            raise Left
        if not answer.go:
            raise Failure.of(answer.findings[0])
        lock.tell()

    def _agree(self) -> list[Finding]:
        """Wait for the controller's word if services start; return the findings that are ignored on purpose.

        Raises:
            Failure: something cannot work, the controller foresees that a service will not run, or it does
                not answer.
        """
        against, ignored = list(self._errors), list(self._ignored)
        surveyed = self._survey()
        if surveyed is not None:
            answer = self.machine.ask(surveyed)
            (ignored if answer.go else against).extend(answer.findings)
            self._left_over = [holder.pid for holder in surveyed.holders if holder.ends]
        if not against:
            return ignored
        foreseen = "an error is" if len(against) == 1 else f"{len(against)} errors are"
        raise Failure(
            "foreseen-failure",
            f"{foreseen} foreseen, and nothing was changed",
            hint="correct what is named above, or give its code to --ignore",
        )

    def _survey(self) -> questions.Surveyed | None:
        """Return what decides whether the services run that this run starts; None when it starts none."""
        starting = foreseeing.starting(self.items, self.stakes)
        if not starting:
            return None
        found = survey.survey_of(self.machine, self.items, self.stakes, starting, self.asked)
        asked = {here: path for path, here in self._moved.items()}
        models = [each.replace(path=asked.get(each.path, each.path)) for each in found.models]
        return found.replace(models=models)

    def _split(self) -> tuple[list[Item], list[Item]]:
        """Split into what services need, and the services with all that needs them."""
        services: dict[str, Item] = {}
        for item in self.items.values():
            if item.runs or any(need in services for need in item.needs):
                services[item.id] = item
        return [item for item in self.items.values() if item.id not in services], list(services.values())

    def _prove_the_rest(self) -> list[str]:
        """Run the checks of the services that were not changed; return those that do not answer."""
        ok = [item for item in self.items.values() if item.proves and item.status == "ok"]
        return [item.service or "" for item in ok if not item.resource.prove(self.machine)]

    def _forget_what_was_never_made(self) -> None:
        """Forget what a killed run had noted before making it, and never made.

        If somebody makes it by hand from now on, it is theirs.
        """
        for item in self.items.values():
            # A service that never ran may have left a log.
            if not item.runs and not item.error and not item.resource.there(item.actual):
                self.ledger.drop_begun(item.id)


def _counts(statuses: Iterable[str]) -> dict[str, int]:
    counts = dict.fromkeys(("ok", "changed", "failed", "skipped"), 0)
    for status in statuses:
        counts[status] += 1
    return counts
