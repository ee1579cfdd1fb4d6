"""How an apply is cut off."""

from __future__ import annotations

import os
import signal
import subprocess
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
    """Kill the controller with all that it has started."""
    os.killpg(running.process.pid, signal.SIGKILL)


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
    os.kill(running.process.pid, signal.SIGINT)


WAYS: dict[str, Callable[[Running, str], None]] = {
    "controller": controller,
    "host side": host_side,
    "connection": connection,
    "power": power,
    "interrupt": interrupt,
}
