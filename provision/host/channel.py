"""The line to the controller: events out as JSON lines, its presence in as an open standard input."""

from __future__ import annotations

import json
import os
import threading
import time
from typing import Any, BinaryIO, Callable

HEARTBEAT = 5.0
"""Seconds of silence after which the host says that it is still there."""


class Channel:
    """Writes events, one JSON object a line; safe to use from any thread."""

    def __init__(self, out: BinaryIO, on_lost: Callable[[], None]) -> None:
        self._out = out
        self._on_lost = on_lost
        self._lock = threading.Lock()
        self._last = time.monotonic()
        self._lost = False

    def emit(self, event: dict[str, Any]) -> None:
        """Send one event. When nobody reads any more, say so once and drop the rest."""
        line = json.dumps(event, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace") + b"\n"
        with self._lock:
            if self._lost:
                return
            try:
                self._out.write(line)
                self._out.flush()
                self._last = time.monotonic()
                return
            except (OSError, ValueError):
                self._lost = True
        self._on_lost()

    def heartbeat(self) -> None:
        """Keep saying that this side lives, for as long as the process does."""
        threading.Thread(target=self._beat, name="heartbeat", daemon=True).start()

    def watch(self, fd: int) -> None:
        """Call `on_lost` when the controller closes its end of `fd`."""
        threading.Thread(target=self._watch, args=(fd,), name="watch", daemon=True).start()

    def _beat(self) -> None:
        while not self._lost:
            time.sleep(1.0)
            if time.monotonic() - self._last >= HEARTBEAT:
                self.emit({"event": "heartbeat"})

    def _watch(self, fd: int) -> None:
        try:
            while os.read(fd, 4096):
                pass
        except OSError:
            pass
        self._on_lost()
