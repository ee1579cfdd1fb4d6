"""The connection to the controller: events go out as JSON lines, and answers to questions come in as such.

The controller is there while standard input is open.
"""

from __future__ import annotations

import os
import select
import time
from _thread import allocate_lock, start_new_thread
from typing import BinaryIO, Callable

from provision.wire import events, plainjson

HEARTBEAT = 5.0
"""Seconds without an event after which a heartbeat is sent."""

_LOOK = 1.0
"""Seconds between two looks at the clock, and the longest time that an event waits for others."""


class Channel:
    """Writes events, one JSON object a line; safe to use from any thread.

    Args:
        out: where to.
        on_lost: is called when the controller has gone.
        hears: gets each line that the controller sends.
    """

    def __init__(
        self, out: BinaryIO, on_lost: Callable[[], None], hears: Callable[[bytes], None] = lambda line: None
    ) -> None:
        self._out = out
        self._on_lost = on_lost
        self._lock = allocate_lock()
        self._last = time.monotonic()
        self._lost = False
        self._input = bytearray()
        self._hears = hears

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
        """Send heartbeats, take what arrives on `fd`, and call `on_lost` when the controller closes it."""
        start_new_thread(self._attend, (fd,))

    def _attend(self, fd: int) -> None:
        watched = [fd]
        while not self._lost:
            if select.select(watched, [], [], _LOOK)[0] and not self._take(fd):
                watched.clear()
                self._on_lost()
            elif time.monotonic() - self._last >= HEARTBEAT:
                self.emit(events.Heartbeat())
            else:
                self._flush()

    def _take(self, fd: int) -> bool:
        """Take what has arrived; whether the other end is still open."""
        try:
            data = os.read(fd, 65536)
        except OSError:
            data = b""
        self._input += data
        *lines, rest = self._input.split(b"\n")
        self._input = bytearray(rest)
        for line in lines:
            self._hears(bytes(line))
        return bool(data)

    def _flush(self) -> None:
        with self._lock:
            try:
                self._out.flush()
            except (OSError, ValueError):
                pass  # the next event finds it out


def _may_wait(event: events.Event) -> bool:
    """Whether more follows at once, as where all is as declared: what comes together shares a packet."""
    quick = isinstance(event, (events.Hello, events.Inspected))
    return quick or (isinstance(event, events.Result) and event.status == "ok")
