"""How processes end, in words; and how those have ended that this run has started by a script.

Only the parent of a process is told how it ended, and the parent of a script-supervised service is the run
that starts it.
"""

from __future__ import annotations

import signal
import subprocess
from typing import NamedTuple

from provision.host.capture import KILL
from provision.host.causes import oom_kills

__all__ = ["OUT_OF_MEMORY", "how", "keep", "of_child", "oom_kills"]

SHELL = 128
"""What shells and container engines add to the number of the signal that ended a process."""

REAP = 2.0
"""Seconds within which the parent of a process that looks dead is told how it ended."""

OUT_OF_MEMORY = "out of memory"

_SIGNALS = 15
"""The highest signal that is recognised in an exit code beyond `SHELL`; higher codes are a program's own."""


class _Child(NamedTuple):
    process: subprocess.Popen[bytes]
    kills: int
    """`oom_kills()` before it was started."""


_children: dict[str, _Child] = {}


def how(code: int) -> str:
    """Return how a process ended, from its exit code or, below zero, its signal: `exit 3`, `signal KILL`."""
    number = -code if code < 0 else code - SHELL if SHELL < code <= SHELL + _SIGNALS else 0
    if not number:
        return f"exit {code}"
    try:
        return f"signal {signal.Signals(number).name[3:]}"
    except ValueError:
        return f"signal {number}"


def keep(pid_file: str, process: subprocess.Popen[bytes], kills: int) -> None:
    """Remember the process of a service by its pid file; `kills`: `oom_kills()` before it was started."""
    _children[pid_file] = _Child(process, kills)


def of_child(pid_file: str) -> str | None:
    """Return how the dead process of a pid file ended; None when it was not started by this run."""
    child = _children.get(pid_file)
    if child is None:
        return None
    try:
        # A killed process looks dead before all its threads are, and only then its parent is told.
        code = child.process.wait(REAP)
    except subprocess.TimeoutExpired:
        return None
    if code in (-KILL, SHELL + KILL) and oom_kills() > child.kills:
        return OUT_OF_MEMORY
    return how(code)
