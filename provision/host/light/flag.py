"""`threading.Event`, without what importing threading costs."""

from __future__ import annotations

from _thread import allocate_lock


class Flag:
    """Is raised once, by any thread, and stays so; others look at it or wait for it."""

    def __init__(self) -> None:
        self._raised = False
        self._guard = allocate_lock()
        self._gate = allocate_lock()
        self._gate.acquire()

    def is_set(self) -> bool:
        """Tell whether it is raised."""
        return self._raised

    def set(self) -> None:
        """Raise it."""
        with self._guard:
            if not self._raised:
                self._raised = True
                self._gate.release()

    def wait(self, seconds: float) -> bool:
        """Wait until it is raised, no longer than some seconds; tell whether it is."""
        # Whoever comes through the gate leaves it open for the next.
        if not self._raised and self._gate.acquire(timeout=max(0.0, seconds)):
            self._gate.release()
        return self._raised
