"""Commands that are owed because something declared has changed: noted before the change, settled by success.

A run that is killed between the two leaves the note, and the next apply runs the command.
"""

from __future__ import annotations

import os
from _thread import allocate_lock

from provision.host.light import plainjson
from provision.host.state import durable

_writing = allocate_lock()


def need(state: str, id: str, because: str) -> bool:
    """Note that a command has to run; reasons add up until it has. True when the reason is a new one.

    Args:
        state: provision's directory on the host.
        id: of the command's resource.
        because: what is about to change, in words.
    """
    with _writing:
        reasons = pending(state, id)
        if because in reasons:
            return False
        durable.write(_path(state, id), plainjson.dumps([*reasons, because]) + "\n")
        return True


def pending(state: str, id: str) -> list[str]:
    """Return why a command is owed; nothing when it is not."""
    text = durable.read(_path(state, id))
    if text is None:
        return []
    try:
        return [str(reason) for reason in plainjson.loads(text)]
    except (ValueError, TypeError):
        # Somebody has been at the file: one run too many does no harm, a lost one does.
        return ["an earlier change"]


def withdraw(state: str, id: str, because: str) -> None:
    """Take a reason back, because its change did not come about."""
    with _writing:
        left = [reason for reason in pending(state, id) if reason != because]
        if left:
            durable.write(_path(state, id), plainjson.dumps(left) + "\n")
        else:
            durable.remove(_path(state, id))


def settle(state: str, id: str) -> None:
    """Note that a command has run."""
    durable.remove(_path(state, id))


def _path(state: str, id: str) -> str:
    return os.path.join(state, "owed", id)
