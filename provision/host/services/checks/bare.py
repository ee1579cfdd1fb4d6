"""Checks that need no HTTP: `port` and `running`."""

from __future__ import annotations

from provision.host.machine import Machine
from provision.host.resource import Failure
from provision.host.services import supervision
from provision.host.services.checks.asking import Asking, Spec, Verdict


def port(asking: Asking) -> Verdict:
    """Open a connection that the server keeps open."""
    asking.client.connect(asking.limit)
    return Verdict()


def stays(machine: Machine, spec: Spec, seconds: float) -> None:
    """Raise `Failure` unless the service goes on running for so long."""
    before = supervision.life(machine, spec)
    machine.sleep(seconds)
    after = supervision.life(machine, spec)
    if before.invocation is None or after.invocation != before.invocation:
        raise Failure(f"it does not stay up ({after.ended or after.state})")
