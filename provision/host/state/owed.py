"""What is owed because something changes: the restart of a service, or the run of a command.

A change of something that a running service has read (script, environment, model) is only done when the
service has been restarted and has answered since. A command that follows changes has to run after each. A
crash may come between any two of these steps, so each is written down before the next is taken:

    need()      before the change        needed
    begun()     before the stop          needed, unless another life runs than the one that is to be stopped
    started()   after the (re)start      started (it has not answered yet)
    settle()    after the answer, or after the command has run

The second and the third are for services only. All that a restart is needed for has been done when it is
begun. So whatever life runs after that has read it, whoever has started it: a run that was killed since, or
what supervises the service.
"""

from __future__ import annotations

import os
from _thread import allocate_lock
from typing import Any, Callable, Dict

from provision.host.state import durable
from provision.wire import plainjson

Note = Dict[str, Any]
"""`state` (`needed` or `started`), `because` (ids or words); of a started service its `invocation`, and of
one whose restart was begun `stops`: the life that ends by it, empty when none ran.
"""

_writing = allocate_lock()


class Owed:
    """One restart or one run.

    Args:
        path: the file of its note, which is there while it is owed.
    """

    def __init__(self, path: str) -> None:
        self._path = path

    def read(self) -> Note | None:
        """Return what is noted, or None when nothing is owed."""
        text = durable.read(self._path)
        if text is None:
            return None
        # Where somebody has changed the file: to do it once too often does no harm, to forget it does.
        note: Note = {"state": "needed", "because": [], "invocation": None}
        try:
            found = plainjson.loads(text)
            if isinstance(found, list):  # of a command, as older versions wrote it
                found = {"because": found}
            found = {**note, **found}
        except (ValueError, TypeError):
            return note
        return found if found["state"] in ("needed", "started") else note

    def needed(self, runs: Callable[[], str | None] = lambda: None) -> list[str] | None:
        """Return for which changes it has to be done; None when it has not.

        Args:
            runs: returns the life of the service that runs now; only called when that decides.
        """
        note = self.read()
        if note is None or note["state"] != "needed" or ("stops" in note and _another(note, runs())):
            return None
        because: list[str] = note["because"]
        return because

    def need(self, *because: str) -> None:
        """Note that it has to be done because of these changes; reasons add up until it is."""
        with _writing:
            reasons = self._reasons()
            reasons += [each for each in because if each not in reasons]
            self._write({"state": "needed", "because": reasons})

    def begun(self, runs: Callable[[], str | None]) -> None:
        """Note that a service is about to be restarted, if it needs it.

        Args:
            runs: returns the life that runs now, and ends; None where none does.
        """
        with _writing:
            note = self.read()
            if note and note["state"] == "needed":
                self._write({**note, "stops": runs() or ""})

    def started(self, invocation: str, since: str | None = None) -> None:
        """Note that a service runs with what it needed a restart for, but has not answered yet.

        Args:
            invocation: the life that was started.
            since: the time before the start of a container, whose engine does not tell it exactly.
        """
        with _writing:
            note = {"state": "started", "because": self._reasons(), "invocation": invocation}
            self._write({**note, "since": since} if since else note)

    def withdraw(self, reason: str, before: Note | None) -> None:
        """Take a reason back, because its change did not come about; what others have asked for stays.

        Args:
            reason: what was given to `need`.
            before: what `read` returned before that.
        """
        earlier = before["because"] if before else []
        with _writing:
            now = self.read()
            if now is None or (before and before["state"] == "needed" and reason in earlier):
                return
            left = [each for each in now["because"] if each != reason]
            if any(each not in earlier for each in left):
                self._write({**now, "because": left})
            elif before:
                self._write(before)
            else:
                self.settle()

    def answered(self, invocation: str) -> None:
        """Note that this life has answered: the restart that led to it is done, one that is needed is not."""
        with _writing:
            note = self.read()
            if note and (note["state"] == "started" or _another(note, invocation)):
                self.settle()

    def settle(self) -> None:
        """Note that it has been done."""
        durable.remove(self._path)

    def _reasons(self) -> list[str]:
        note = self.read()
        return list(note["because"]) if note else []

    def _write(self, note: Note) -> None:
        durable.write(self._path, plainjson.dumps(note) + "\n")


def _another(note: Note, life: str | None) -> bool:
    """Whether a restart was begun, and what runs is not what was to be stopped."""
    return isinstance(note.get("stops"), str) and life is not None and life != note["stops"]


def restart(state: str, service: str) -> Owed:
    """Return the restart of a service; `state` is provision's directory on the host."""
    return Owed(os.path.join(state, "restart", service))


def run(state: str, id: str) -> Owed:
    """Return the run of the command whose resource has this id."""
    return Owed(os.path.join(state, "owed", id))
