"""One measurement at a time on a machine where others measure as well: they agree on a file to lock."""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def noisy(lock: Path | None) -> Iterator[None]:
    """Do work that must not happen while anyone measures; None locks nothing."""
    with _held(lock, fcntl.LOCK_SH):
        yield


@contextmanager
def quiet(lock: Path | None) -> Iterator[None]:
    """Measure while nobody else works; None locks nothing."""
    with _held(lock, fcntl.LOCK_EX):
        yield


@contextmanager
def _held(lock: Path | None, how: int) -> Iterator[None]:
    if lock is None:
        yield
        return
    with lock.open("a") as file:
        fcntl.flock(file, how)
        yield
