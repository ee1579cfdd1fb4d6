"""`threading` without what only its threads need."""

from __future__ import annotations

from _thread import allocate_lock


class Event:
    """Is set once, by any thread, and stays set; others can wait for it."""

    def __init__(self) -> None:
        self._set = False
        self._guard = allocate_lock()
        self._gate = allocate_lock()
        self._gate.acquire()

    def is_set(self) -> bool:
        """Return whether it is set."""
        return self._set

    def set(self) -> None:
        """Set it."""
        with self._guard:
            if not self._set:
                self._set = True
                self._gate.release()

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until it is set, for `timeout` seconds at most; return whether it is."""
        # Each thread that gets through the gate opens it for the next.
        if not self._set and self._gate.acquire(timeout=-1 if timeout is None else max(0.0, timeout)):
            self._gate.release()
        return self._set


def __getattr__(name: str) -> object:
    import threading

    return getattr(threading, name)
