"""The command line on a terminal, with somebody who reads and types."""

from __future__ import annotations

import os
import pty
import re
import select
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType

from tests.e2e.command import REPOSITORY

_STYLE = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


class Terminal:
    """A command that runs on a pseudo terminal; it is ended when the block is left.

    Args:
        argv: for `provision`.
        cwd: where it runs.
        env: more for its environment.
        columns: how wide the terminal is.
    """

    def __init__(
        self, *argv: str | Path, cwd: Path, env: Mapping[str, str] | None = None, columns: int = 100
    ) -> None:
        self.seen = ""
        self._master, slave = pty.openpty()
        self._process = subprocess.Popen(
            [sys.executable, "-m", "provision", *map(str, argv)],
            cwd=cwd,
            env={
                **os.environ,
                "PYTHONPATH": str(REPOSITORY),
                "TERM": "xterm-256color",
                "COLUMNS": str(columns),
                **(env or {}),
            },
            stdin=slave,
            stdout=slave,
            stderr=slave,
            preexec_fn=_own_terminal,
        )
        os.close(slave)

    def __enter__(self) -> Terminal:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.kill()
        self._process.wait()
        os.close(self._master)

    @property
    def text(self) -> str:
        """What was printed, without colours and movements."""
        return _STYLE.sub("", self.seen).replace("\r\n", "\n")

    def until(self, words: str, seconds: float = 120) -> None:
        """Read until the words have been printed."""
        deadline = time.monotonic() + seconds
        while words not in self.text:
            assert self._read(deadline), f"{words!r} was not printed:\n{self.text}"

    def send(self, text: str) -> None:
        """Type something."""
        os.write(self._master, text.encode())

    def interrupt(self) -> None:
        """Press ^C."""
        self.send("\x03")

    def kill(self) -> None:
        """End the controller at once, so that it can tell nobody."""
        self._process.send_signal(signal.SIGKILL)
        self._process.wait()

    def end(self, seconds: float = 120) -> int:
        """Read all of the rest and return the exit code."""
        deadline = time.monotonic() + seconds
        while self._read(deadline):
            pass
        code = self._process.wait(timeout=max(1.0, deadline - time.monotonic()))
        assert "Traceback" not in self.text, self.text
        return code

    def _read(self, deadline: float) -> bool:
        ready, _, _ = select.select([self._master], [], [], max(0.0, deadline - time.monotonic()))
        if not ready:
            return False
        try:
            data = os.read(self._master, 65536)
        except OSError:
            return False
        self.seen += data.decode("utf-8", "replace")
        return bool(data)


def _own_terminal() -> None:
    """Make the terminal the controlling one of the new process, so that ^C and password prompts work."""
    import fcntl
    import termios

    os.setsid()
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)
