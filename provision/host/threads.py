"""Several things at once, without what `concurrent.futures` and `threading` import."""

from __future__ import annotations

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
