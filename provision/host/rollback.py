"""Undoing a change after which the service did not answer."""

from __future__ import annotations

from typing import Sequence

from provision.host import causes
from provision.host.failure import Failure
from provision.host.machine import Machine
from provision.host.resource import Resource
from provision.host.resources import recall
from provision.host.services import supervision
from provision.host.services.nodes import together
from provision.host.state import backup, owed
from provision.wire import events


def undo(machine: Machine, id: str, service: str, runners: Sequence[Resource], led: bool = False) -> bool:
    """Put back what a service last answered with, restart it and check it; whether it answers.

    With its script come the environment and the models that the script names; a container is made again. Not
    where anything has changed in place. The event `restored` tells how it went.

    Args:
        machine: where it runs.
        id: the resource that has failed; output is sent with this id.
        service: name of the service.
        runners: what runs it as it is declared now.
        led: it was restarted for other nodes alone, which go back.
    """
    nodes = next((each.nodes() for each in runners if each.nodes()), [])
    record = backup.read(machine.state, service)
    restart = owed.restart(machine.state, service)
    note = restart.read()
    if record is None or machine.cancelled.is_set():
        together.stays_so(machine, service, nodes)
        return False
    remade = any(each.made_from_spec and each.as_run(machine) != record["runner"]["spec"] for each in runners)
    if not remade and not led and (not record["files"] or note is None):
        together.stays_so(machine, service, nodes)
        return False
    stuck = _in_place(machine, id, service, record, note)
    others = together.cannot_go_back(machine, service, nodes, stuck)
    if others is not None and not stuck:
        _tell(machine, id, service, f"nothing is put back, as {others} cannot be")
    if stuck or others is not None:
        return False
    machine.output(id, f"putting back the files that {service} last worked with")
    try:
        restart.need()  # a crash from here on must not lose the restart
        put_back(machine, record)
        backup.commit(machine.state, service, record["runner"], record["probe"])
    except Exception as error:
        why = causes.explain(error)
        _tell(
            machine,
            id,
            service,
            "the files that it last worked with are back, and it fails with them, too",
            why,
        )
        return False
    _tell(machine, id, service, "the files that it last worked with are back, and it answers", ok=True)
    return True


def withdraw(machine: Machine, id: str, service: str) -> bool:
    """Put back the files of a service that was not stopped in the end; whether it runs with these.

    The arguments are those of `undo`.
    """
    record = backup.read(machine.state, service)
    restart = owed.restart(machine.state, service)
    note = restart.read()
    if record is None or not record["files"] or note is None or machine.cancelled.is_set():
        return False
    runs = supervision.life(machine, recall(**record["probe"]).spec).invocation
    # What has been started since runs with the new ones.
    if runs != record["invocation"] or _in_place(machine, id, service, record, note):
        return False
    try:
        backup.restore(record)
        if record["runner"]["type"] == "unit":
            machine.run(["systemctl", "daemon-reload"], timeout=120)
    except Exception as error:
        why = causes.explain(error)
        _tell(machine, id, service, "it was not stopped, and its former files cannot be put back", why)
        return False
    restart.settle()
    backup.commit(machine.state, service, record["runner"], record["probe"])
    _tell(machine, id, service, "it was not stopped, and the files that it runs with are back", ok=True)
    return True


def _in_place(machine: Machine, id: str, service: str, record: backup.Record, note: owed.Note | None) -> bool:
    """Tell of what has changed beside the files of a record, and so is not put back; whether there is any."""
    changed = set(note["because"] if note else ()) - {f"file:{path}" for path in record["files"]}
    if changed:
        what = ", ".join(sorted(changed)).replace(":", " ")
        _tell(machine, id, service, f"nothing is put back, as {what} changed too")
    return bool(changed)


def put_back(machine: Machine, record: backup.Record) -> None:
    """Write the files of a record, restart its service and check it.

    Raises:
        Failure: it does not start, or does not answer.
    """
    backup.restore(record)
    # It started with these files before. Older versions wrote `preflight` in another form, too.
    runner = {**record["runner"], "spec": {**record["runner"]["spec"], "preflight": None}}
    runs, proves = recall(**runner), recall(**record["probe"])
    try:
        runs.begins(machine)
        runs.fix(machine, runs.due)
    except Exception as error:
        nodes = proves.spec.nodes
        together.failed(machine, proves.spec.service, nodes, causes.explain(error).finding)
        raise
    proves.fix(machine, proves.due)


def _tell(
    machine: Machine, id: str, service: str, text: str, why: Failure | None = None, ok: bool = False
) -> None:
    finding = why.finding if why else None
    machine.emit(events.Restored(id=id, service=service, ok=ok, text=text, finding=finding))
