"""Taking a change back that its service did not answer with."""

from __future__ import annotations

from provision.host import causes
from provision.host.machine import Machine
from provision.host.resource import Failure
from provision.host.resources import make
from provision.host.state import former, marks


def undo(machine: Machine, id: str, service: str, failure: Failure) -> Failure:
    """Put back the files that a service has last answered with, restart it and ask it.

    Only where nothing but files has changed since: what an environment or model was is not kept.

    Args:
        machine: where it runs.
        id: the resource that has failed, in whose name output is passed on.
        service: name of the service.
        failure: why it has failed.

    Returns: the failure, with what has become of the service.
    """
    record = former.read(machine.state, service)
    owed = marks.pending(machine.state, service)
    if record is None or not record["files"] or owed is None or machine.cancelled.is_set():
        return failure
    changed = set(owed["because"]) - {f"file:{path}" for path in record["files"]}
    if changed:
        what = ", ".join(sorted(changed)).replace(":", " ")
        return _also(failure, f"it is left so, as {what} changed too")
    machine.output(id, f"putting back what {service} last answered with")
    try:
        marks.need(machine.state, service, [])  # a crash from here on must not lose the restart
        former.put_back(record)
        make(record["runner"]).fix(machine, {"current": (False, True)})
        make(record["probe"]).fix(machine, {"proven": (False, True)})
        former.proved(machine.state, service, record["runner"], record["probe"])
    except Exception as error:
        why = causes.explain(error)
        return _also(failure, f"what it last answered with is back, and fails, too: {why.message}", why)
    return _also(failure, "what it last answered with is back, and answers")


def _also(failure: Failure, text: str, other: Failure | None = None) -> Failure:
    return Failure(f"{failure.message}; {text}", failure.hint, [*failure.log, *(other.log if other else ())])
