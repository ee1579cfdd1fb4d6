"""The state of a service at the end of a run in which a step of it failed."""

from __future__ import annotations

from provision.host.failure import Failure
from provision.host.machine import Machine
from provision.host.services import supervision
from provision.host.state import marks, owed
from provision.wire.spec import Supervised

BEFORE = "before"
"""It runs, and it is the process that has last answered: it was not changed, or it was restored."""

UNPROVEN = "unproven"
"""It has been started, or was about to be, and no check has proven it yet."""

FAILING = "failing"
"""It runs and does not answer as it should."""

STOPPED = "stopped"
"""It does not run."""


def state(machine: Machine, spec: Supervised, failed: bool) -> str:
    """Return one of the words above; `failed`: a check of the service has failed in this run."""
    proven = marks.proven(machine.state, spec.service)
    try:
        life = supervision.life(machine, spec)
    except Failure:
        # The run is cancelled, and commands are not started any more.
        untouched = proven is not None and owed.restart(machine.state, spec.service).read() is None
        return BEFORE if untouched else UNPROVEN
    if life.invocation is None:
        return STOPPED
    if life.invocation == proven:
        return BEFORE
    return FAILING if failed and not machine.cancelled.is_set() else UNPROVEN
