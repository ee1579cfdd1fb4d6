"""Several things at once, without what `concurrent.futures` and `threading` import."""

from __future__ import annotations

import time
from _thread import allocate_lock, start_new_thread
from typing import Any, Callable, Sequence, TypeVar

T = TypeVar("T")


def each(work: Callable[[T], None], items: Sequence[T], at_once: int) -> None:
    """Call `work` for each item, at most `at_once` at a time; it must not raise."""
    left = list(reversed(items))

    def take() -> None:
        while True:
            try:
                item = left.pop()
            except IndexError:
                return
            work(item)

    def help_out(finished: Any) -> None:
        try:
            take()
        finally:
            finished.release()

    helpers = [allocate_lock() for _ in range(min(at_once, len(items)) - 1)]
    for finished in helpers:
        finished.acquire()
        start_new_thread(help_out, (finished,))
    take()
    for finished in helpers:
        finished.acquire()


def within(seconds: float, works: Sequence[Callable[[], T]]) -> list[T | None]:
    """Return what some functions give, which are called at once and must not raise.

    What has given nothing within some seconds is left behind, and counts as None: a thread that waits for a
    disk or a driver cannot be ended.
    """
    found: list[T | None] = [None] * len(works)

    def begin(index: int) -> Any:
        gate = allocate_lock()
        gate.acquire()

        def run() -> None:
            try:
                found[index] = works[index]()
            finally:
                gate.release()

        start_new_thread(run, ())
        return gate

    deadline = time.monotonic() + seconds
    for gate in [begin(index) for index in range(len(works))]:
        gate.acquire(timeout=max(0.0, deadline - time.monotonic()))
    return list(found)
