"""Programs that are run for what they print: no longer than allowed, and ended with all that they started."""

from __future__ import annotations

import os
import selectors
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

_COMPLAINTS = 65536
"""Bytes of the standard error that are kept: the last ones."""


class Output(NamedTuple):
    """What a program printed, and its exit code (that of a kill when it printed too much)."""

    printed: bytes
    complaints: bytes
    code: int


def run(
    command: Sequence[str],
    folder: Path | None,
    seconds: float,
    most: int,
    environment: Mapping[str, str] | None = None,
) -> Output:
    """Run a program without standard input.

    Args:
        command: its arguments, the program first.
        folder: where it runs; None: here.
        seconds: how long it may take.
        most: bytes that it may print. When it prints more, it is ended, and `printed` is longer than this.
        environment: its variables; None: those of this process.

    Raises:
        OSError, ValueError: it cannot be run.
        TimeoutError: it took too long, and was ended.
    """
    deadline = time.monotonic() + seconds
    with subprocess.Popen(
        command,
        cwd=folder,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    ) as process:
        try:
            printed, complaints = _read(process, deadline, most)
            if len(printed) <= most:
                process.wait(max(0.0, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            raise TimeoutError from None
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
    return Output(printed, complaints, process.returncode)


def _read(process: subprocess.Popen[bytes], deadline: float, most: int) -> tuple[bytes, bytes]:
    printed, complaints = bytearray(), bytearray()
    with selectors.DefaultSelector() as selector:
        for stream, read in ((process.stdout, printed), (process.stderr, complaints)):
            if stream:
                selector.register(stream, selectors.EVENT_READ, read)
        while selector.get_map() and len(printed) <= most:
            ready = selector.select(max(0.0, deadline - time.monotonic()))
            if not ready or time.monotonic() > deadline:
                raise TimeoutError
            for key, _ in ready:
                block = os.read(key.fd, 65536)
                key.data.extend(block)
                if not block:
                    selector.unregister(key.fileobj)
            del complaints[:-_COMPLAINTS]
    return bytes(printed), bytes(complaints)
