"""Undoing a change after which the service did not answer."""

from __future__ import annotations

from provision.host import causes
from provision.host.failure import Failure
from provision.host.machine import Machine
from provision.host.resources import recall
from provision.host.state import backup, owed
from provision.wire import events


def undo(machine: Machine, id: str, service: str) -> None:
    """Put back the files that a service last answered with, restart it and check it.

    Only where nothing but files has changed since: a former environment or model is not kept. The event
    `restored` tells how it went.

    Args:
        machine: where it runs.
        id: the resource that has failed; output is sent with this id.
        service: name of the service.
    """
    record = backup.read(machine.state, service)
    restart = owed.restart(machine.state, service)
    note = restart.read()
    if record is None or not record["files"] or note is None or machine.cancelled.is_set():
        return
    changed = set(note["because"]) - {f"file:{path}" for path in record["files"]}
    if changed:
        what = ", ".join(sorted(changed)).replace(":", " ")
        _tell(machine, id, service, f"nothing is put back, as {what} changed too")
        return
    machine.output(id, f"putting back the files that {service} last worked with")
    try:
        restart.need()  # a crash from here on must not lose the restart
        backup.restore(record)
        # It started with these files before. Older versions wrote `preflight` in another form, too.
        runner = {**record["runner"], "spec": {**record["runner"]["spec"], "preflight": None}}
        for each in (recall(**runner), recall(**record["probe"])):
            each.fix(machine, each.due)
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
    else:
        _tell(machine, id, service, "the files that it last worked with are back, and it answers", ok=True)


def _tell(
    machine: Machine, id: str, service: str, text: str, why: Failure | None = None, ok: bool = False
) -> None:
    finding = why.finding if why else None
    machine.emit(events.Restored(id=id, service=service, ok=ok, text=text, finding=finding))
