"""The connection to the controller: events go out as JSON lines; it is there while standard input is open."""

from __future__ import annotations

import os
import select
import time
from _thread import allocate_lock, start_new_thread
from typing import BinaryIO, Callable

from provision.host.light import plainjson
from provision.wire import events

HEARTBEAT = 5.0
"""Seconds without an event after which a heartbeat is sent."""

_LOOK = 1.0
"""Seconds between two looks at the clock, and the longest time that an event waits for others."""


class Channel:
    """Writes events, one JSON object a line; safe to use from any thread."""

    def __init__(self, out: BinaryIO, on_lost: Callable[[], None]) -> None:
        self._out = out
        self._on_lost = on_lost
        self._lock = allocate_lock()
        self._last = time.monotonic()
        self._lost = False

    def emit(self, event: events.Event) -> None:
        """Send one event. When the controller has gone, call `on_lost` once and drop the rest."""
        line = plainjson.dumps(event.plain()).encode("utf-8", "replace") + b"\n"
        with self._lock:
            if self._lost:
                return
            try:
                self._out.write(line)
                if not _may_wait(event):
                    self._out.flush()
                self._last = time.monotonic()
                return
            except (OSError, ValueError):
                self._lost = True
        self._on_lost()

    def attend(self, fd: int) -> None:
        """Send heartbeats, and call `on_lost` when the controller closes its end of `fd`."""
        start_new_thread(self._attend, (fd,))

    def _attend(self, fd: int) -> None:
        watched = [fd]
        while not self._lost:
            if select.select(watched, [], [], _LOOK)[0] and not _goes_on(fd):
                watched.clear()
                self._on_lost()
            elif time.monotonic() - self._last >= HEARTBEAT:
                self.emit(events.Heartbeat())
            else:
                self._flush()

    def _flush(self) -> None:
        with self._lock:
            try:
                self._out.flush()
            except (OSError, ValueError):
                pass  # the next event finds it out


def _may_wait(event: events.Event) -> bool:
    """Whether an event is one of many that come at once, as of what is as declared: they share a packet."""
    return isinstance(event, events.Inspected) or (isinstance(event, events.Result) and event.status == "ok")


def _goes_on(fd: int) -> bool:
    """Read and drop what has arrived; whether the other end is still open."""
    try:
        return bool(os.read(fd, 4096))
    except OSError:
        return False
