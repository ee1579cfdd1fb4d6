"""Processes known by pid *and* start time, so that a reused pid is never mistaken for ours."""

from __future__ import annotations

import os
import signal
import time
from dataclasses import dataclass
from pathlib import Path

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


@dataclass(frozen=True)
class ProcessId:
    """One process of this boot of the machine."""

    pid: int
    started: str
    """Start time in clock ticks (field 22 of /proc/PID/stat) and the boot id."""

    @classmethod
    def of(cls, pid: int) -> ProcessId | None:
        """The process that has this pid now; None when there is none, or only a zombie."""
        started = _started(pid)
        return cls(pid, started) if started else None

    def alive(self) -> bool:
        """Whether exactly this process still runs."""
        return _started(self.pid) == self.started

    def children(self) -> list[ProcessId]:
        """The direct children of the process."""
        if not self.alive():
            return []
        try:
            pids = Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text(encoding="ascii").split()
        except OSError:
            return []
        found = [ProcessId.of(int(pid)) for pid in pids]
        return [child for child in found if child]

    def kill(self, number: signal.Signals = signal.SIGKILL) -> None:
        """Send a signal, if the process is still this one."""
        if self.alive():
            try:
                os.kill(self.pid, number)
            except ProcessLookupError:
                pass

    def wait(self, seconds: float) -> bool:
        """Wait until the process has ended; False when it has not within ``seconds``."""
        deadline = time.monotonic() + seconds
        while self.alive():
            if time.monotonic() > deadline:
                return False
            time.sleep(0.02)
        return True


def _started(pid: int) -> str | None:
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
        boot = _BOOT_ID.read_text(encoding="ascii").strip()
    except OSError:
        return None
    fields = stat.rpartition(")")[2].split()  # the program's name, in parentheses, may hold anything
    state, start_time = fields[0], fields[19]
    return None if state in "ZX" else f"{boot}:{start_time}"
