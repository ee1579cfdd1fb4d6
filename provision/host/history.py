"""What services have run with, and going back to it by hand."""

from __future__ import annotations

import os
from typing import Any

from provision.host import causes, rotation
from provision.host.failure import Failure
from provision.host.machine import Machine
from provision.host.resources import recall
from provision.host.rollback import put_back
from provision.host.services.nodes import together
from provision.host.state import backup, owed
from provision.host.state.lock import RunLock, under
from provision.host.state.revisions import Revisions
from provision.wire import events, statuses
from provision.wire.finding import warning
from provision.wire.requests import Request, Rollback, Service
from provision.wire.revision import FAILED, PROVEN
from provision.wire.survey import Answer


def history(machine: Machine, request: Request) -> events.Done:
    """Carry out the verb `history`: send an event for each service."""
    for service in request.services:
        found = Revisions(machine.state, service.service).history()
        machine.emit(statuses.History(service=service.service, revisions=found))
    return events.Done(ok=True)


def rollback(machine: Machine, request: Request, asked: Rollback) -> events.Done:
    """Carry out the verb `rollback`: run what services ran with before, and prove it."""
    lock = RunLock(machine, request.who, "rollback", asked.patience)
    failed = under(machine, lock, lambda: _all_back(machine, request, asked))
    return events.Done(ok=not failed, counts={"changed": len(request.services) - failed, "failed": failed})


def _all_back(machine: Machine, request: Request, asked: Rollback) -> int:
    """Go back with each service; return how many of them fail."""
    together.hold(machine, request.services)
    gateways = rotation.Gateways(machine, request.fronted, request.who)
    failed = 0
    for service in request.services:
        try:
            _go_back(machine, request, asked, service, gateways)
        except Exception as error:
            failed += 1
            machine.emit(events.Error(finding=causes.explain(error).finding))
    return failed


def _go_back(
    machine: Machine, request: Request, asked: Rollback, service: Service, gateways: rotation.Gateways
) -> None:
    name, revisions = service.service, Revisions(machine.state, service.service)
    nodes = service.node.names if service.node is not None and not service.node.joins else []
    record = _agreed(machine, service, revisions, asked.to) if nodes else _chosen(revisions, name, asked.to)
    _require_directories(name, record)
    _compare_editions(machine, name, record)
    if recall(**record["runner"]).running(machine):
        gateways.stop(name)
    if nodes:
        _go_on(together.ask(machine, name, nodes, "stop"))
    words = [f"back to revision {record['number']}"]
    number = revisions.begin(request.who, words, request.origin, change=request.change)
    id = record["runner"]["id"]
    machine.output(id, f"putting back the files of revision {record['number']} of {name}")
    try:
        owed.restart(machine.state, name).need(id)
        put_back(machine, record)
    except Exception:
        revisions.conclude(number, FAILED)
        raise
    backup.commit(machine.state, name, record["runner"], record["probe"])
    revisions.go_back(number, record["number"])
    text = f"revision {record['number']} runs again, and it answers; the next apply goes forward"
    machine.emit(events.Restored(id=id, service=name, ok=True, text=text))
    gateways.back_on_all(name, nodes)


def _agreed(machine: Machine, service: Service, revisions: Revisions, to: int | None) -> dict[str, Any]:
    """Return the kept revision to go back to of the change that the head chooses.

    Raises:
        Failure: a node has not kept it, or another one cannot go back.
    """
    name, node = service.service, service.node
    assert node is not None
    record: dict[str, Any] = {}
    said: dict[str, Any] = {}
    try:
        if node.rank == 0:
            record = _chosen(revisions, name, to)
            said["change"] = _change(record)
    except Failure as failure:
        said["findings"] = [failure.finding]
    wanted = _go_on(together.ask(machine, name, node.names, "choose", **said)).change
    said = {}
    try:
        record = next((each for each in revisions.kept() if _change(each) == wanted), record)
        if not record:
            message = f"{name} was not changed together with {node.names[0]} at that time"
            raise Failure("no-revision", message, hint="apply the playbook of that time again")
        _require_directories(name, record)
    except Failure as failure:
        said["findings"] = [failure.finding]
    _go_on(together.ask(machine, name, node.names, "ready", **said))
    return record


def _change(record: dict[str, Any]) -> str:
    """Return what is the same on all nodes; of an older version only the number can be."""
    return record.get("change") or f"revision {record['number']}"


def _go_on(answer: Answer) -> Answer:
    """Return an answer; raise `Failure` when it says not to go on."""
    if not answer.go:
        raise Failure.of(answer.findings[0])
    return answer


def _require_directories(service: str, record: dict[str, Any]) -> None:
    for path in record["directories"]:
        if not os.path.isdir(path):
            raise Failure(
                "no-revision",
                f"{service} cannot go back to revision {record['number']}: {path} is gone",
                hint="apply the playbook of that time again",
            )


def _chosen(revisions: Revisions, service: str, to: int | None) -> dict[str, Any]:
    """Return the kept revision to go back to."""
    kept = revisions.kept()
    numbers = ", ".join(str(each["number"]) for each in sorted(kept, key=lambda each: int(each["number"])))
    if to is not None:
        found = [each for each in kept if each["number"] == to]
        if not found:
            raise Failure(
                "no-revision",
                f"{service} has no revision {to} to go back to",
                hint=f"these are kept: {numbers}" if numbers else "none is kept yet",
            )
        return found[0]
    last = revisions.history()[-1:]
    # After a change that failed and was left as it is, what answered last is the one before.
    left = bool(last) and last[0].outcome not in (PROVEN, "by hand", "rolled back")
    before = kept[-1:] if left else kept[-2:-1]
    if not before:
        raise Failure(
            "no-revision",
            f"{service} has no revision before the one that runs",
            hint="`provision history` lists those that are kept",
        )
    return before[0]


def _compare_editions(machine: Machine, service: str, record: dict[str, Any]) -> None:
    """Tell of a model whose files have been replaced in place since: they do not come back."""
    for id, was in record.get("editions", {}).items():
        now = recall(id, was["type"], was["spec"]).edition(machine)
        if now != was["edition"]:
            what = id.replace(":", " ", 1)
            text = f"{service} ran with {was['edition']}; {what} is {now or 'gone'} now, and stays so"
            machine.emit(events.Note(finding=warning("replaced-in-place", text)))
