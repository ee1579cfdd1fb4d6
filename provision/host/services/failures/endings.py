"""The error for a service that has ended, the same wherever that is found out.

It says how the service ended and what to do, and shows the lines of the start that ended.
"""

from __future__ import annotations

import time
from typing import Callable, List

from provision.host.failure import Failure
from provision.host.machine import Machine
from provision.host.services import supervision, systemd
from provision.host.services.containers import engines
from provision.host.services.failures import exits, patterns
from provision.host.services.failures.root_cause import first_failure
from provision.wire.spec import Supervised

READ = 2000
"""Lines of log in which the cause is looked for: each worker of a server may tell of it in fifty lines."""

NOTICED = 5.0
"""Seconds in which systemd has to notice that a process has ended which is not there any more."""

WAYS_OUT = {
    exits.how(0): "a service must keep running in the foreground: leave out what sends it to the background "
    "(`&`, nohup, --daemon, -d)",
    exits.OUT_OF_MEMORY: "the kernel ended it as memory ran out: give it more memory, or a smaller model",
    exits.how(
        -9
    ): "it was killed from outside; `dmesg` on the host tells whether the kernel did it as memory ran out",
    exits.how(-4): "this build is for another kind of CPU: install one that fits this host",
}
"""What to do about an end that the log does not explain."""

Hide = Callable[[List[str]], List[str]]
"""Takes secrets out of lines."""


def ended(
    machine: Machine,
    spec: Supervised,
    life: supervision.Life,
    since: str | None,
    hide: Hide | None = None,
) -> Failure:
    """Return the error for a service whose process is not there any more.

    Args:
        machine: where it ran.
        spec: the service, and what supervises it.
        life: how the service is doing now; it may have been started again already.
        since: `since` of the life that ended; None takes the last one.
        hide: takes secrets out of the lines that are shown.
    """
    life = _noticed(machine, spec, life)
    lines = _printed(machine, spec, since, hide)
    log = first_failure(lines)
    how = _how(machine, spec, life, since)
    what = "ended, and was started again" if life.invocation else "does not run"
    what = what if how is None else f"ended ({how})"
    code, hint = _known(spec, lines, "service-ended")
    if hint is None and how is not None:
        code = "memory-full" if how == exits.OUT_OF_MEMORY else code
        if log:
            hint = f"these are lines of its log; `provision logs {spec.service}` prints more"
        else:
            hint = "it printed nothing: run its command by hand on the host to see more"
        hint = WAYS_OUT.get(how, hint)
    return Failure(code, f"{spec.service} {what}", hint=hint, log=log)


def _noticed(machine: Machine, spec: Supervised, life: supervision.Life) -> supervision.Life:
    """Return how a service is doing once systemd knows what /proc says already: that it has ended."""
    last = time.monotonic() + NOTICED
    while (
        spec.unit
        and life.invocation is None
        and life.ended is None
        and life.state.startswith(("active", "deactivating", "reloading"))
        and time.monotonic() < last
    ):
        time.sleep(0.1)
        life = supervision.life(machine, spec)
    return life


def explained(
    machine: Machine,
    spec: Supervised,
    code: str,
    message: str,
    since: str | None,
    hint: str | None = None,
    hide: Hide | None = None,
) -> Failure:
    """Return an error with the last lines of a start; these explain it when there is no `hint`."""
    lines = _printed(machine, spec, since, hide)
    if hint is None:
        code, hint = _known(spec, lines, code)
    return Failure(code, message, hint=hint, log=lines[-supervision.TAIL :])


def _printed(machine: Machine, spec: Supervised, since: str | None, hide: Hide | None) -> list[str]:
    supervision.settle(machine, spec)
    lines = supervision.tail(machine, spec, READ, since)
    return hide(lines) if hide else lines


def _known(spec: Supervised, lines: list[str], code: str) -> patterns.Explained:
    """Return code and way out of a failure that the log tells of; else `code`, and what the engine knows."""
    hint = engines.hint(lines) if spec.container else None
    return patterns.explain(lines, spec.service) or patterns.Explained(code, hint)


def _how(machine: Machine, spec: Supervised, life: supervision.Life, since: str | None) -> str | None:
    """Return how a life ended, also when the next has begun by now; None when that is not known."""
    if spec.unit and since is not None and life.since != since:
        # systemd has no line for a clean end, and may not have told yet that it starts the service again.
        return systemd.ending(machine, since) or (exits.how(0) if life.restarts else None)
    return life.ended
