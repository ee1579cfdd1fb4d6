"""Telling that a service has ended: one wording, whoever finds it out and whenever.

That it ended, how, the lines of the very start that ended, and the way out.
"""

from __future__ import annotations

from typing import Callable, List, NamedTuple

from provision.host.failure import Failure
from provision.host.machine import Machine
from provision.host.services import supervision, systemd
from provision.host.services.containers import engines
from provision.host.services.failures import exits, patterns
from provision.host.services.failures.root_cause import first_failure
from provision.wire.spec import Supervised

READ = 2000
"""Lines of log in which the cause is looked for: each worker of a server may tell of it in fifty lines."""

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
    supervision.settle(machine, spec)
    service, how = spec.service, _how(machine, spec, life, since)
    said = "ended, and was started again" if life.invocation else "does not run"
    if how is not None:
        said = f"ended ({how})"
    lines = _printed(machine, spec, since, hide)
    known = _known(machine, spec, lines, "service-ended")
    failure = Failure(known.code, f"{service} {said}", hint=known.hint, log=first_failure(lines))
    if failure.hint is None and how is not None:
        if how in WAYS_OUT:
            failure.hint = WAYS_OUT[how]
            failure.code = "memory-full" if how == exits.OUT_OF_MEMORY else failure.code
        elif failure.log:
            failure.hint = f"this is what its log says of this start; `provision logs {service}` prints more"
        else:
            failure.hint = "it printed nothing: run its command by hand on the host to see more"
    return failure


def explained(
    machine: Machine,
    spec: Supervised,
    code: str,
    message: str,
    since: str | None,
    hint: str | None = None,
    hide: Hide | None = None,
) -> Failure:
    """Return an error with the last lines of a start; without a `hint`, with what these are known for."""
    supervision.settle(machine, spec)
    lines = _printed(machine, spec, since, hide)
    known = _known(machine, spec, lines, code)
    return Failure(
        code if hint else known.code, message, hint=hint or known.hint, log=lines[-supervision.TAIL :]
    )


def _printed(machine: Machine, spec: Supervised, since: str | None, hide: Hide | None) -> list[str]:
    lines = supervision.tail(machine, spec, READ, since)
    return hide(lines) if hide else lines


class _Known(NamedTuple):
    code: str
    hint: str | None


def _known(machine: Machine, spec: Supervised, lines: list[str], code: str) -> _Known:
    """Return code and way out of a failure that the log is known for; else `code`, and what is known."""
    known = patterns.explain(lines, machine, spec.service)
    if known is not None:
        return _Known(*known)
    return _Known(code, engines.hint(lines) if spec.container else None)


def _how(machine: Machine, spec: Supervised, life: supervision.Life, since: str | None) -> str | None:
    """Return how a life ended, also when the next has begun by now; None when that is not known."""
    if spec.unit and since is not None and life.since != since:
        # systemd has no line for a clean end, and may not have told yet that it starts the service again.
        return systemd.ending(machine, since) or (exits.how(0) if life.restarts else None)
    return life.ended
