"""Checks that need no HTTP: `port` and `running`."""

from __future__ import annotations

import time

from provision.host.machine import Machine
from provision.host.resource import Failure
from provision.host.services import supervision
from provision.host.services.checks.asking import Asking, Spec, Verdict

LOOK = 0.5
"""Seconds between two looks at a service that is to go on running."""


def port(asking: Asking) -> Verdict:
    """Open a connection that the server keeps open."""
    asking.client.connect(asking.limit)
    return Verdict()


def stays(machine: Machine, spec: Spec, seconds: float) -> None:
    """Raise `Failure` unless the service goes on running for so long."""
    before = supervision.life(machine, spec)
    until = time.monotonic() + seconds
    left = seconds
    while left > 0:
        machine.sleep(min(LOOK, left))
        after = supervision.life(machine, spec)
        if before.invocation is None or after.invocation != before.invocation:
            raise Failure(f"it does not stay up ({after.ended or after.state})")
        left = until - time.monotonic()
