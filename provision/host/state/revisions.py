"""What each service ran with, so that it can be gone back to, and what became of each change.

There is one file for each service, `revisions/<service>`, which only its owner can read: env files hold
secrets. `history` has the last changes, `kept` what the last three answered with, in the order of answers.

    begin()      before a change            an entry that is `begun`
    prove()      after an answer            `proven`, and what it runs with is kept
    conclude()   after anything else        `failed` or `rolled back`
"""

from __future__ import annotations

import json
import os
import threading
import time
from typing import Any, Dict, List, Sequence

from provision.host.state import backup, durable
from provision.wire.revision import BY_HAND, PROVEN, Origin, Revision

KEPT = 3
"""Revisions that can be gone back to, the current one included."""

LISTED = 50
"""Revisions that the history lists."""

Book = Dict[str, List[Dict[str, Any]]]

_writing = threading.Lock()


class Revisions:
    """The revisions of one service.

    Args:
        state: provision's directory on the host.
        service: its name.
    """

    def __init__(self, state: str, service: str) -> None:
        self._path = os.path.join(state, "revisions", service)

    def history(self) -> list[Revision]:
        """Return what is known of the last revisions, the oldest first."""
        book = self._read()
        kept = [each["number"] for each in book["kept"]]
        return [
            Revision.recall(each).replace(
                kept=each["number"] in kept, current=each["number"] == (kept or [None])[-1]
            )
            for each in book["history"]
        ]

    def kept(self) -> list[dict[str, Any]]:
        """Return what the service ran with, by the order of its answers: the last one is the current one."""
        return self._read()["kept"]

    def begin(
        self,
        who: str | None,
        changes: Sequence[str],
        origin: Origin | None = None,
        ignored: Sequence[str] = (),
        change: str = "",
    ) -> int:
        """Note that a change begins; return its number."""
        with _writing:
            book = self._read()
            number: int = max([0, *(each["number"] for part in book.values() for each in part)]) + 1
            entry = Revision(
                number=number,
                when=round(time.time(), 3),
                who=who,
                commit=origin.commit if origin else None,
                dirty=bool(origin and origin.dirty),
                changes=list(changes),
                ignored=list(ignored),
                change=change,
            )
            book["history"] = [*book["history"], entry.plain()][-LISTED:]
            self._write(book)
        return number

    def prove(self, number: int, ran: dict[str, Any]) -> None:
        """Note that the service has answered, and keep what it runs with."""
        with _writing:
            book = self._read()
            change = next(
                (each.get("change", "") for each in book["history"] if each["number"] == number), ""
            )
            book["kept"] = [*book["kept"], {**ran, "number": number, "change": change}][-KEPT:]
            self._close(book, number, PROVEN)

    def go_back(self, number: int, to: int) -> None:
        """Note that the service answers with a kept revision again."""
        with _writing:
            book = self._read()
            book["kept"].sort(key=lambda each: bool(each["number"] == to))
            self._close(book, number, BY_HAND, to)

    def conclude(self, number: int, outcome: str) -> None:
        """Note what became of a change."""
        with _writing:
            self._close(self._read(), number, outcome)

    def forget(self) -> None:
        """Drop all of it, because the service has been removed."""
        durable.remove(self._path)

    def _close(self, book: Book, number: int, outcome: str, back_to: int | None = None) -> None:
        for entry in book["history"]:
            if entry["number"] == number:
                entry.update(outcome=outcome, back_to=back_to)
        self._write(book)

    def _read(self) -> Book:
        try:
            book = json.loads(durable.read(self._path) or "{}")
            return {"history": list(book.get("history", [])), "kept": list(book.get("kept", []))}
        except (ValueError, AttributeError):
            return {"history": [], "kept": []}

    def _write(self, book: Book) -> None:
        os.makedirs(os.path.dirname(self._path), mode=0o700, exist_ok=True)
        durable.write(self._path, json.dumps(book) + "\n", mode=0o600)


def snapshot(
    files: Sequence[str], directories: Sequence[str], runner: dict[str, Any], probe: dict[str, Any]
) -> dict[str, Any]:
    """Return what a service runs with: its files as they are now, and what only has to stay there.

    Args:
        files: those of the service alone.
        directories: its environments and models.
        runner: its unit or process: `id`, `type`, `spec`.
        probe: the same of its probe.
    """
    return {
        "files": {path: backup.content(path) for path in files},
        "directories": list(directories),
        "runner": runner,
        "probe": probe,
    }


def went_back(state: str, service: str) -> str | None:
    """Return a sentence when a service was rolled back by hand and not changed since; else None."""
    last = Revisions(state, service).history()[-1:]
    if not last or last[0].outcome != BY_HAND:
        return None
    who, to = last[0].who, last[0].back_to
    return f"{service} was rolled back to revision {to} by {who}; an apply goes forward again"
