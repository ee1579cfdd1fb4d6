"""Which life of a service has answered, and which was told to stop.

An *invocation* is one life of a service's main process, `<pid>:<start time in ticks>:<boot id>`: a process
that supervision has brought back since, or a host that has booted since, is another one and has to prove
itself again.

    proven/<service>     the invocation that has answered, and ` again` when it has to once more
    stopping/<service>   the invocation that was told to stop: a stop that goes on must not tell it again

Beside them lie `figures/<service>`, what the server logged about the start that was proven last, and
`answers/<service>`, whether it would start with arguments that it was asked about.
"""

from __future__ import annotations

import os

from provision.host.state import durable, owed

_AGAIN = " again"


def proven(state: str, service: str) -> str | None:
    """Return the invocation that has last answered, or None; `state` is provision's directory on the host."""
    return _read(state, "proven", service)


def prove(state: str, service: str, invocation: str) -> None:
    """Note that this invocation has answered, which settles its restart.

    A restart that is *needed* stays so: the answer came from a process that was started before the change.
    """
    durable.write(os.path.join(state, "proven", service), invocation + "\n")
    owed.restart(state, service).answered(invocation)


def doubt(state: str, service: str) -> None:
    """Note that the invocation which has answered has to answer again: it goes on with something else."""
    invocation = answered(state, service)
    if invocation is not None:
        durable.write(os.path.join(state, "proven", service), invocation + _AGAIN + "\n")


def answered(state: str, service: str) -> str | None:
    """Return the invocation that has last answered, even if it has to answer again; or None."""
    return (proven(state, service) or "").replace(_AGAIN, "") or None


def told(state: str, service: str) -> str | None:
    """Return the invocation that was told to stop after it had served, or None."""
    return _read(state, "stopping", service)


def tell(state: str, service: str, invocation: str) -> None:
    """Note that this invocation, which has served, was told to stop: another SIGTERM may cut its requests."""
    durable.write(os.path.join(state, "stopping", service), invocation + "\n")


def forget(state: str, service: str) -> None:
    """Drop everything noted about a service, because it has been removed."""
    for kind in ("stopping", "restart", "proven", "figures", "answers"):
        durable.remove(os.path.join(state, kind, service))


def _read(state: str, kind: str, service: str) -> str | None:
    return (durable.read(os.path.join(state, kind, service)) or "").strip() or None
