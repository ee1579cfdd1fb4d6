"""An event loop: files, timers, signals and coroutines in one thread, as far as talking to hosts needs it.

asyncio can do all of it, but takes 16 ms to import, in which no host works yet: a converged run of ten hosts
takes some 200 ms in all.
"""

from __future__ import annotations

import heapq
import os
import selectors
import signal
import threading
import time
from collections import deque
from collections.abc import Callable, Coroutine, Generator, Iterable, Iterator
from contextlib import contextmanager
from typing import Any, Generic, TypeVar

T = TypeVar("T")

READ, WRITE = selectors.EVENT_READ, selectors.EVENT_WRITE

Work = Coroutine["Promise[Any]", None, None]


class Promise(Generic[T]):
    """A value that comes later; any number of coroutines can wait for it."""

    def __init__(self, loop: Loop) -> None:
        self._loop = loop
        self._values: list[T] = []
        self._waiting: list[Work] = []

    def keep(self, value: T) -> None:
        """Give the value, once."""
        self._values.append(value)
        self._loop.resume(self._waiting)
        self._waiting = []

    def wakes(self, work: Work) -> None:
        """Go on with a coroutine once the value is there."""
        self._waiting.append(work)

    def __await__(self) -> Generator[Promise[T], None, T]:
        if not self._values:
            yield self
        return self._values[0]


class Slots:
    """So many may go on at once; the others wait, the first one first."""

    def __init__(self, loop: Loop, number: int) -> None:
        self._loop = loop
        self._free = number
        self._waiting: deque[Promise[None]] = deque()

    async def acquire(self) -> None:
        """Take a slot, when one is free."""
        if self._free:
            self._free -= 1
            return
        turn: Promise[None] = Promise(self._loop)
        self._waiting.append(turn)
        await turn

    def release(self) -> None:
        """Give the slot to the next one."""
        if self._waiting:
            self._waiting.popleft().keep(None)
        else:
            self._free += 1


class Timer:
    """Something that is called at a time of the monotonic clock, unless it is cancelled before."""

    def __init__(self, at: float, call: Callable[[], object]) -> None:
        self.at = at
        self.call: Callable[[], object] | None = call

    def cancel(self) -> None:
        """Do not call it."""
        self.call = None

    def __lt__(self, other: Timer) -> bool:
        return self.at < other.at


class Loop:
    """Calls functions when files are ready or a time has come, and runs coroutines that wait for promises."""

    def __init__(self) -> None:
        self._selector = selectors.DefaultSelector()
        self._timers: list[Timer] = []
        self._ready: deque[Work] = deque()
        self._running = 0

    def run(self, work: Iterable[Work]) -> None:
        """Run coroutines side by side until all of them have ended; what one raises ends all."""
        self._ready.extend(work)
        self._running = len(self._ready)
        while True:
            while self._ready:
                self._step(self._ready.popleft())
            if not self._running:
                return
            for key, _ in self._selector.select(self._patience()):
                # Unless what was called before has ended the watch.
                if self._selector.get_map().get(key.fd) is key:
                    key.data()
            now = time.monotonic()
            while self._timers and self._timers[0].at <= now:
                call = heapq.heappop(self._timers).call
                if call:
                    call()

    def add(self, work: Work) -> None:
        """Run a further coroutine beside those that run."""
        self._running += 1
        self._ready.append(work)

    def resume(self, work: Iterable[Work]) -> None:
        """Go on with coroutines that have waited for a promise."""
        self._ready.extend(work)

    def watch(self, fd: int, events: int, call: Callable[[], object]) -> None:
        """Call a function whenever a file can be read (`READ`) or written to (`WRITE`)."""
        self._selector.register(fd, events, call)

    def forget(self, fd: int) -> None:
        """Watch a file no longer; it must not be closed before."""
        if fd in (self._selector.get_map() or ()):
            self._selector.unregister(fd)

    def close(self) -> None:
        """Watch nothing any more."""
        self._selector.close()

    def later(self, seconds: float, call: Callable[[], object]) -> Timer:
        """Call a function after some time."""
        timer = Timer(time.monotonic() + seconds, call)
        heapq.heappush(self._timers, timer)
        return timer

    @contextmanager
    def handling(self, call: Callable[[], object], *signals: signal.Signals) -> Iterator[None]:
        """Call a function for each of these signals inside the block; only the main thread gets any."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        read, write = os.pipe()
        for end in (read, write):
            os.set_blocking(end, False)

        def received() -> None:
            for number in os.read(read, 64):
                if number in signals:
                    call()

        # Python writes the numbers of signals into the pipe; the handlers have nothing to do.
        outer = signal.set_wakeup_fd(write)
        former = {each: signal.signal(each, lambda *_: None) for each in signals}
        self.watch(read, READ, received)
        try:
            yield
        finally:
            self.forget(read)
            for each, handler in former.items():
                signal.signal(each, handler)
            signal.set_wakeup_fd(outer)
            os.close(read)
            os.close(write)

    def _step(self, work: Work) -> None:
        try:
            promise = work.send(None)
        except StopIteration:
            self._running -= 1
        else:
            promise.wakes(work)

    def _patience(self) -> float | None:
        """Return the seconds until the next timer."""
        while self._timers and not self._timers[0].call:
            heapq.heappop(self._timers)
        return max(0.0, self._timers[0].at - time.monotonic()) if self._timers else None
