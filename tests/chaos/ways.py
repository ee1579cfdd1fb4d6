"""How an apply is cut off."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from tests.lab import Lab


@dataclass
class Running:
    """An apply under way: its process, and the process id of its host side on each host that has answered."""

    lab: Lab
    process: subprocess.Popen[str]
    pids: dict[str, int] = field(default_factory=dict)


def controller(running: Running, host: str) -> None:
    """Kill the controller."""
    running.process.kill()


def host_side(running: Running, host: str) -> None:
    """Kill provision's process on the host; what that has started is on its own."""
    running.lab[host].exec(["kill", "-9", str(running.pids[host])], check=False)


def connection(running: Running, host: str) -> None:
    """End every login of the host."""
    running.lab[host].exec(["pkill", "-9", "-f", "^sshd: root"], check=False)


def power(running: Running, host: str) -> None:
    """Pull the plug of the host."""
    running.lab.stop(host)


def interrupt(running: Running, host: str) -> None:
    """Press ^C once."""
    try:
        os.kill(running.process.pid, signal.SIGINT)
    except ProcessLookupError:
        pass  # the moment was the last one


def interrupt_twice(running: Running, host: str) -> None:
    """Press ^C once more, before the hosts can have told how far they are."""
    interrupt(running, host)
    time.sleep(0.1)  # two at once are one
    interrupt(running, host)


WAYS: dict[str, Callable[[Running, str], None]] = {
    "controller": controller,
    "host side": host_side,
    "connection": connection,
    "power": power,
    "^C": interrupt,
    "^C twice": interrupt_twice,
}
