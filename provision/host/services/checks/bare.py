"""Checks that need no HTTP: `port`, `running` and `nodes`."""

from __future__ import annotations

import time

from provision.host.failure import Failure
from provision.host.machine import Machine
from provision.host.services import idle, processes, supervision
from provision.host.services.checks.asking import Asking, Verdict
from provision.host.services.nodes import states
from provision.wire.checks import Port, Together
from provision.wire.specs.probe import ProbeSpec

LOOK = 0.2
"""Seconds between two looks at a service that has to stay up."""

REST = 1.0
"""Seconds without any work after which a service counts as started: later it may fail at any time."""


def port(asking: Asking, check: Port) -> Verdict:
    """Open a connection that the server keeps open."""
    asking.client.connect(asking.limit)
    return Verdict()


def together(machine: Machine, spec: ProbeSpec, check: Together) -> Verdict:
    """Look at what the rank of this host says of the others."""
    seen = states.seen(check.node, supervision.life(machine, spec).pid)
    if seen.phase == states.WAITING:
        differs = states.DIFFERS in seen.why
        hint, code = (states.SAME, "nodes-differ") if differs else (states.HINT, "node-missing")
        return Verdict(states.said(seen), hint, False, code=code)
    if seen.phase != states.SERVING:
        return Verdict(states.said(seen), None, False, code="not-answering")
    return Verdict(received=", ".join(check.node.names))


def stays(machine: Machine, spec: ProbeSpec, seconds: float) -> None:
    """Raise `Failure` unless the service stays up.

    It has to run for `seconds` from its start, or until none of its processes has used a CPU for `REST`: an
    idle program waits for its work, a busy one may still find out that it cannot start.
    """
    first = last = supervision.life(machine, spec)
    rest = idle.Rest(first.pid)
    until = time.monotonic() + seconds - _age(spec, first)
    while first.invocation is not None and last.invocation == first.invocation:
        if time.monotonic() >= until or rest.seconds() >= REST:
            break
        machine.sleep(LOOK)
        if first.pid is not None and processes.process(first.pid) is None:
            last = supervision.life(machine, spec)
    last = supervision.life(machine, spec)
    if first.invocation is None or last.invocation != first.invocation:
        raise Failure("service-ended", f"it does not stay up ({last.ended or last.state})")


def _age(spec: ProbeSpec, life: supervision.Life) -> float:
    """Return for how many seconds the program has run at least.

    A container's process may not be visible from here, and the start script of a service on a GPU waits for
    its turn before it becomes the program.
    """
    if life.pid is None or spec.container or spec.cards:
        return 0.0
    return processes.uptime(life.pid) or 0.0
