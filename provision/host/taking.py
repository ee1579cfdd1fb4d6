"""Telling exactly what is there: for a lock, and for a bill of materials."""

from __future__ import annotations

from typing import Any

from provision.host import causes, kind, places
from provision.host.machine import Machine
from provision.host.threads import each
from provision.wire import events
from provision.wire.requests import Request
from provision.wire.specs.apt import LockedPackages
from provision.wire.specs.container import LockedImage
from provision.wire.specs.environment import LockedEnvironment
from provision.wire.taken import Taken

AT_ONCE = 4
"""Resources that are looked at at once."""

FIELDS = {
    LockedEnvironment: "environment",
    LockedPackages: "packages",
    LockedImage: "image",
}
"""Where the event has what was found; a model is what is left."""


def take(machine: Machine, request: Request) -> events.Done:
    """Carry out the verb `take`: send an event for each resource of which a lock has something."""
    _, items, _ = places.found(machine, request)
    told: dict[str, Taken] = {}

    def look(id: str) -> None:
        label = items[id].label
        try:
            found: Any = items[id].resource.taken(machine)
            if found is not None:
                told[id] = Taken(id=id, label=label, **{FIELDS.get(type(found), "model"): found})
                if not items[id].resource.as_declared(machine):
                    told[id].finding = kind.not_as_declared().finding
        except Exception as error:
            told[id] = Taken(id=id, label=label, finding=causes.explain(error).finding)

    each(look, list(items), AT_ONCE)
    for id in items:
        if id in told:
            machine.emit(told[id])
    failed = sum(1 for event in told.values() if not event.found)
    return events.Done(ok=not failed, counts={"taken": len(told) - failed, "failed": failed})
