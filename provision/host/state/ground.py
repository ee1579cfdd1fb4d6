"""The directory of our own state, and which directories above it were made for it.

They appear together with the note that says so: a first apply may be killed at any moment, and `remove` must
still know that they are ours.
"""

from __future__ import annotations

import os
import shutil
from hashlib import sha256

from provision.host.files.paths import remove_empty
from provision.host.state import durable
from provision.wire import plainjson

NOTE = "made.json"
"""The note, in the state directory."""


def lay(state: str) -> None:
    """Make the state directory and what is missing above it; the caller holds the run's lock.

    All is made under another name, and gets its own by one rename.

    Args:
        state: provision's directory on the host.

    Raises:
        OSError: as the kernel says.
    """
    missing = _missing(state)
    if not missing:
        return
    top = missing[-1]
    fresh = os.path.join(os.path.dirname(top), f".provision-{sha256(state.encode()).hexdigest()[:16]}.new")
    shutil.rmtree(fresh, ignore_errors=True)  # left by a killed run
    try:
        inside = fresh + state[len(top) :]
        if inside != fresh:
            os.makedirs(os.path.dirname(inside))
        os.mkdir(inside, 0o700)
        durable.write(os.path.join(inside, NOTE), plainjson.dumps(missing) + "\n")
        os.rename(fresh, top)
    except OSError as error:
        shutil.rmtree(fresh, ignore_errors=True)
        error.filename, error.filename2 = top, None
        raise
    durable.sync(os.path.dirname(top))


def made(state: str) -> list[str]:
    """Return the directories that were made for the state, itself first; nothing if that is not known."""
    text = durable.read(os.path.join(state, NOTE))
    try:
        return [str(path) for path in plainjson.loads(text)] if text else []
    except ValueError:
        return []


def leave(state: str) -> None:
    """Remove the state, and the directories above it that were made for it and are empty now."""
    above = made(state)[1:] or [os.path.dirname(state)]
    shutil.rmtree(state, ignore_errors=True)
    while above and remove_empty(above.pop(0)):
        pass


def _missing(path: str) -> list[str]:
    """Return `path` and the directories above it that are not there yet, from the deepest up."""
    missing = []
    while path not in ("", "/") and not os.path.lexists(path):
        missing.append(path)
        path = os.path.dirname(path)
    return missing
