"""A child process, with messages as lines of JSON over a socket; the other side is worker.py."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import json
import os
import socket
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from .settings import is_key

_MAX_LINE = 64 * 2**20
_END_SECONDS = 5.0


@dataclasses.dataclass
class Child:
    """A running ``python -m provision.asr.worker``; see ``launch``."""

    _process: asyncio.subprocess.Process
    _reader: asyncio.StreamReader
    _writer: asyncio.StreamWriter

    @classmethod
    async def launch(cls, first_line: dict[str, Any], threads: int) -> Child:
        """Start one that may use ``threads`` threads, and send it its first line. Raises OSError."""
        ours, theirs = socket.socketpair()
        with theirs:
            process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", f"{__package__}.worker", str(theirs.fileno()),
                stdin=asyncio.subprocess.DEVNULL, pass_fds=[theirs.fileno()], env=_environment(threads),
                start_new_session=True,
            )  # fmt: skip
        reader, writer = await asyncio.open_connection(sock=ours, limit=_MAX_LINE)
        child = cls(process, reader, writer)
        child.send({**first_line, "threads": threads})
        return child

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    def send(self, message: dict[str, Any]) -> None:
        """Send a line."""
        self._writer.write(json.dumps(message).encode() + b"\n")

    async def messages(self) -> AsyncIterator[dict[str, Any]]:
        """Its messages, until it ends."""
        while True:
            try:
                line = await self._reader.readline()
            except (ConnectionResetError, BrokenPipeError):
                return
            if not line.endswith(b"\n"):
                return
            yield json.loads(line)

    def close(self) -> None:
        """Send nothing more: the process ends when it has answered everything that it was sent."""
        self._writer.close()

    def kill(self) -> None:
        """Send SIGKILL, as it may not react to anything else."""
        with contextlib.suppress(ProcessLookupError):
            self._process.kill()

    async def end(self) -> int:
        """Close, and wait for its end, which is forced after some seconds; return the exit status."""
        self.close()
        try:
            return await asyncio.wait_for(self._process.wait(), _END_SECONDS)
        except asyncio.TimeoutError:
            self.kill()
            return await self._process.wait()


def _environment(threads: int) -> dict[str, str]:
    root = str(Path(__file__).resolve().parents[2])
    path = os.environ.get("PYTHONPATH")
    environment = {
        **os.environ,
        "PYTHONPATH": root if not path else root + os.pathsep + path,
        "OMP_NUM_THREADS": str(threads),
        "MKL_NUM_THREADS": str(threads),
        # glibc: keep the big short-lived tensors on the heap instead of asking the kernel for fresh pages
        # each time, and keep one heap, not one a thread, each as large as the largest audio it has seen
        "MALLOC_ARENA_MAX": "2",
        "MALLOC_MMAP_THRESHOLD_": str(32 * 2**20),
        "MALLOC_TRIM_THRESHOLD_": str(256 * 2**20),
    }
    return {name: value for name, value in environment.items() if not is_key(name)}
