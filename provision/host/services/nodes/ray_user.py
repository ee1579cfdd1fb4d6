"""Runs a program while the node of the Ray cluster on this host is in its complete cluster.

    ray_user.py SERVICE --cluster NAME --state FILE [-- PROGRAM ARGUMENT …]

It waits until the node says that it serves, and then starts the program. When the node ends, starts anew, or
misses another one, the program is ended, and so is this one. Without a program, this one waits for such an
end: that is what a node does of which only the workers are used, which Ray itself starts.

This file is copied to hosts and runs there by itself: standard library, Python 3.8.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import time
from types import FrameType
from typing import NoReturn, Sequence

LOOK = 0.5
"""Seconds between two looks at the node and the program."""

GRACE = 4.0
"""Seconds that the program has to end once the cluster is broken; then it is killed. The rank that has
started this one gives it a little more.
"""

TELL = 30.0
"""Seconds between two lines of the log about the same wait."""


class User:
    """A program that needs the cluster.

    Args:
        asked: the options of the command line.
        command: the program, with its arguments; empty for none.
    """

    def __init__(self, asked: argparse.Namespace, command: Sequence[str]) -> None:
        self.asked = asked
        self.command = command
        self.program: subprocess.Popen[bytes] | None = None
        self._stopped = False
        self._told = ("", 0.0)

    def run(self) -> int:
        """Wait for the cluster, run the program, and return the exit code."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._heed)
        pid = self.join()
        if self.command and not self._stopped:
            self.program = subprocess.Popen(self.command)
            if self._stopped:  # meanwhile
                self.program.terminate()
        while not self._ended():
            now, why = self.node()
            if now != pid:
                self.tell(f"ends: {why or 'its node has started anew'}")
                self.end()
                return 1
            time.sleep(LOOK)
        if self.program is None:
            return 0
        code = self.program.returncode
        return 128 - code if code < 0 else code  # as a shell has it

    def join(self) -> int:
        """Wait until the cluster is complete; return the pid of its node on this host, 0 when stopped."""
        while not self._stopped:
            pid, why = self.node()
            if pid:
                self.tell(f"cluster {self.asked.cluster} is complete")
                return pid
            said, when = self._told
            if why != said or time.monotonic() - when >= TELL:
                self.tell(f"waits: {why}", why)
            time.sleep(LOOK)
        return 0

    def node(self) -> tuple[int, str]:
        """Return the pid of the node on this host, 0 when its cluster is not complete, and why it is not."""
        name = f"Ray cluster {self.asked.cluster}"
        try:
            with open(self.asked.state, encoding="utf-8") as file:
                said = json.load(file)
            pid, phase, missing = int(said["pid"]), said["phase"], said["missing"]
        except (OSError, ValueError, KeyError, TypeError):
            return 0, f"{name} has not started on this host"
        if not _runs(pid, self.asked.state):
            return 0, f"{name} does not run on this host"
        if phase == "serving":
            return pid, ""
        return 0, f"{name} is {phase} (missing: {', '.join(missing)})" if missing else f"{name} is {phase}"

    def end(self) -> None:
        """End the program; what it leaves behind, the supervisor kills."""
        if self.program is None:
            return
        self.program.terminate()
        try:
            self.program.wait(GRACE)
        except subprocess.TimeoutExpired:
            self.program.kill()

    def tell(self, text: str, key: str = "") -> None:
        """Write a line into the log."""
        self._told = (key, time.monotonic())
        print(f"provision: {self.asked.service}: {text}", file=sys.stderr, flush=True)

    def _ended(self) -> bool:
        if self.program is None:
            return self._stopped
        return self.program.poll() is not None

    def _heed(self, number: int, frame: FrameType | None) -> None:
        self._stopped = True
        if self.program is not None and self.program.poll() is None:
            self.program.send_signal(number)


def _runs(pid: int, state: str) -> bool:
    """Whether this is the pid of a node now: after a boot, another process may have it."""
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as file:
            return os.fsencode(state) in file.read().split(b"\0")
    except OSError:
        return False


def main(arguments: Sequence[str]) -> NoReturn:
    """Run it."""
    at = arguments.index("--") if "--" in arguments else len(arguments)
    parser = argparse.ArgumentParser(prog="ray_user.py")
    parser.add_argument("service")
    for name in ("--cluster", "--state"):
        parser.add_argument(name, required=True)
    sys.exit(User(parser.parse_args(arguments[:at]), arguments[at + 1 :]).run())


if __name__ == "__main__":
    main(sys.argv[1:])
