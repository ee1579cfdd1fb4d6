"""What is owed to a service: a restart, and the proof that it answers.

A change of something that a running service has read (script, environment, model) is only done when the
service has been restarted and has answered since. A crash may come between any two of these steps, so each is
written down before the next is taken:

    need()     before the change        restart/<service>: needed
    started()  after the (re)start      restart/<service>: started
    prove()    after a real answer      proven/<service>: the invocation; the restart mark is gone

An *invocation* is one life of a service's main process, `<pid>:<start time in ticks>:<boot id>`: a process
that supervision has brought back since, or a host that has booted since, is another one and has to prove
itself again.

A stop notes whom it has told, `stopping/<service>`: a stop that goes on with it must not tell it again.
"""

from __future__ import annotations

import os
from _thread import allocate_lock
from typing import Any

from provision.host.light import plainjson
from provision.host.state import durable

_writing = allocate_lock()


def need(state: str, service: str, because: list[str]) -> None:
    """Note that a service has to be restarted; reasons add up until it is.

    Args:
        state: provision's directory on the host.
        service: name of the service.
        because: ids of the resources that are about to change.
    """
    with _writing:
        owed = _read(state, service) or {}
        reasons = list(owed.get("because", []))
        reasons += [reason for reason in because if reason not in reasons]
        _write(state, service, {"state": "needed", "because": reasons})


def started(state: str, service: str, invocation: str, since: str | None = None) -> None:
    """Note that a service runs with what it needed a restart for, but has not answered yet.

    Args:
        state: provision's directory on the host.
        service: name of the service.
        invocation: the life that was started.
        since: the time before the start of a container, whose engine does not tell it exactly.
    """
    with _writing:
        owed = _read(state, service) or {}
        mark = {"state": "started", "because": owed.get("because", []), "invocation": invocation}
        _write(state, service, {**mark, "since": since} if since else mark)


def pending(state: str, service: str) -> dict[str, Any] | None:
    """Return what is owed: `{"state": "needed"|"started", "because": [...], "invocation": ...}`, or None."""
    owed = _read(state, service)
    return {"invocation": None, **owed} if owed else None


def needed(state: str, service: str) -> list[str] | None:
    """Return for which changes a restart is needed; None when none is."""
    owed = _read(state, service)
    return owed["because"] if owed and owed["state"] == "needed" else None


def withdraw(state: str, service: str, reason: str, owed: dict[str, Any] | None) -> None:
    """Take a reason back, because its change did not come about; what others have asked for stays.

    Args:
        state: provision's directory on the host.
        service: name of the service.
        reason: id of the resource that is as it was.
        owed: what `pending` returned before the reason was given.
    """
    before = owed["because"] if owed else []
    with _writing:
        now = _read(state, service)
        if now is None or (owed and owed["state"] == "needed" and reason in before):
            return
        left = [each for each in now["because"] if each != reason]
        if any(each not in before for each in left):
            _write(state, service, {**now, "because": left})
        elif owed:
            _write(state, service, owed)
        else:
            durable.remove(_restart(state, service))


def proven(state: str, service: str) -> str | None:
    """Return the invocation that has last answered, or None."""
    text = durable.read(_proof(state, service))
    return text.strip() or None if text else None


def prove(state: str, service: str, invocation: str) -> None:
    """Note that this invocation has answered, which settles its restart.

    A restart that is *needed* stays so: the answer came from a process that was started before the change.
    """
    with _writing:
        durable.write(_proof(state, service), invocation + "\n")
        owed = _read(state, service)
        if owed and owed["state"] == "started":
            durable.remove(_restart(state, service))


def told(state: str, service: str) -> str | None:
    """Return the invocation that was told to stop after it had served, or None."""
    text = durable.read(_stopping(state, service))
    return text.strip() or None if text else None


def tell(state: str, service: str, invocation: str) -> None:
    """Note that this invocation, which has served, was told to stop: another SIGTERM may cut its requests."""
    with _writing:
        durable.write(_stopping(state, service), invocation + "\n")


def forget(state: str, service: str) -> None:
    """Drop everything noted about a service, because it has been removed."""
    with _writing:
        durable.remove(_stopping(state, service))
        durable.remove(_restart(state, service))
        durable.remove(_proof(state, service))


def _restart(state: str, service: str) -> str:
    return os.path.join(state, "restart", service)


def _proof(state: str, service: str) -> str:
    return os.path.join(state, "proven", service)


def _stopping(state: str, service: str) -> str:
    return os.path.join(state, "stopping", service)


def _read(state: str, service: str) -> dict[str, Any] | None:
    text = durable.read(_restart(state, service))
    if text is None:
        return None
    try:
        owed = plainjson.loads(text)
        if owed["state"] in ("needed", "started"):
            return dict(owed)
    except (ValueError, KeyError, TypeError):
        pass
    # Somebody has been at the file: one restart too many does no harm, a lost one does.
    return {"state": "needed", "because": []}


def _write(state: str, service: str, owed: dict[str, Any]) -> None:
    durable.write(_restart(state, service), plainjson.dumps(owed) + "\n")
