"""Whether a service is idle: none of its processes has used a CPU for some time, or waits for one."""

from __future__ import annotations

import os
import time
from typing import Dict

from provision.host.services import processes

Used = Dict[str, str]

_BUSY = "RD"
"""States of a thread that runs, waits for a CPU, or waits for a disk."""


class Rest:
    """Watches a process and all its descendants, whenever `seconds` is called: several times a second.

    A process that cannot be seen from here, or None, is never idle.
    """

    def __init__(self, pid: int | None) -> None:
        self._pid = pid
        self._used: Used | None = None
        self._since = time.monotonic()

    def seconds(self) -> float:
        """Return for how long no process has run, as far as it has been watched."""
        used = _used(self._pid) if self._pid else None
        now = time.monotonic()
        if used is None or used != self._used:
            self._used, self._since = used, now
        return now - self._since


def _used(root: int) -> Used | None:
    """Return the CPU time of each thread so far; None while one of them is busy, or without any."""
    used: Used = {}
    for pid in processes.tree(root, processes.table()):
        try:
            for thread in os.listdir(f"/proc/{pid}/task"):
                path = f"/proc/{pid}/task/{thread}"
                fields = _read(f"{path}/stat").rpartition(")")[2].split()
                if fields[0] in _BUSY:
                    return None
                used[path] = _nanoseconds(path) or " ".join(fields[11:13])
        except OSError:
            return None  # it ended just now
    return used or None


def _nanoseconds(path: str) -> str | None:
    """Return the time that a thread has run; None when the kernel only counts ticks of 10 ms."""
    try:
        return _read(f"{path}/schedstat").split()[0]
    except (OSError, IndexError):
        return None


def _read(path: str) -> str:
    with open(path, encoding="utf-8", errors="replace") as file:
        return file.read()
