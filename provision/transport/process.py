"""A local process whose output is taken as it comes: no thread, and a few system calls each.

asyncio's own subprocesses need a thread each before Python 3.12, and several objects and callbacks for what
is one `os.read` here; with a hundred hosts that adds up.
"""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
from collections.abc import Callable, Sequence

_CHUNK = 1 << 16
_REST = 1024
_KILL_AFTER = 6.0
"""Seconds; the host side needs some to end its commands (`host.machine.CUT`)."""

_POLL = 0.1


class Process:
    """A process that has been started.

    It is in a session of its own, so that a ^C on the terminal reaches it only by way of us.

    Args:
        argv: program and arguments.
        on_output: called with each piece of its standard output.
        on_error: called with each piece of its standard error.

    Raises:
        OSError: it cannot be started.
    """

    def __init__(
        self, argv: Sequence[str], on_output: Callable[[bytes], None], on_error: Callable[[bytes], None]
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._child = subprocess.Popen(
            list(argv),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            bufsize=0,
            start_new_session=True,
        )
        assert self._child.stdin
        assert self._child.stdout
        assert self._child.stderr
        self._stdin: int | None = self._child.stdin.fileno()
        self._readers = {self._child.stdout.fileno(): on_output, self._child.stderr.fileno(): on_error}
        self._backlog = bytearray()
        self._closing = False
        self._exited = False
        self._ended: asyncio.Future[int] = self._loop.create_future()
        self._kill: asyncio.TimerHandle | None = None
        os.set_blocking(self._stdin, False)
        for fd in self._readers:
            os.set_blocking(fd, False)
            self._loop.add_reader(fd, self._readable, fd)
        self._pidfd: int | None = None
        try:
            self._pidfd = os.pidfd_open(self._child.pid)
            self._loop.add_reader(self._pidfd, self._reap)
        except (AttributeError, OSError):  # Python or the kernel is too old for it
            self._loop.call_later(_POLL, self._poll)

    async def wait(self) -> int:
        """Return the exit code once the process has ended and all that it wrote has been handed out.

        A descendant that still holds the other end of a pipe is not waited for.
        """
        return await asyncio.shield(self._ended)

    @property
    def ended(self) -> bool:
        """Whether the process has ended."""
        return self._exited

    def write(self, data: bytes) -> None:
        """Send bytes to its standard input; never blocks. What it does not read any more is dropped."""
        if self._stdin is None or self._closing:
            return
        self._backlog += data
        self._flush()

    def close_input(self) -> None:
        """End its standard input, after what was written before."""
        self._closing = True
        self._flush()

    def abandon_input(self) -> None:
        """End its standard input now, whatever was written before."""
        self._backlog.clear()
        self.close_input()

    def end(self) -> None:
        """Ask the process and its children to end, and make them when they do not within a few seconds."""
        self.abandon_input()
        if self._exited or self._kill:
            return
        self._signal(signal.SIGTERM)
        self._kill = self._loop.call_later(_KILL_AFTER, self._signal, signal.SIGKILL)

    def _signal(self, signum: int) -> None:
        if not self._exited:
            try:
                os.killpg(self._child.pid, signum)
            except (ProcessLookupError, PermissionError):
                pass  # it has ended, or all of it is another user's: its input has ended, which it sees

    def _flush(self) -> None:
        if self._stdin is None:
            return
        try:
            while self._backlog:
                del self._backlog[: os.write(self._stdin, self._backlog)]
        except BlockingIOError:
            self._loop.add_writer(self._stdin, self._flush)
            return
        except OSError:
            self._backlog.clear()
            self._closing = True
        self._loop.remove_writer(self._stdin)
        if self._closing:
            assert self._child.stdin
            self._child.stdin.close()
            self._stdin = None

    def _readable(self, fd: int) -> bool:
        """Hand out what there is; True when there may be more."""
        try:
            data = os.read(fd, _CHUNK)
        except BlockingIOError:
            return False
        except OSError:
            data = b""
        if not data:
            self._loop.remove_reader(fd)
            self._readers.pop(fd)
            return False
        self._readers[fd](data)
        return True

    def _poll(self) -> None:
        if self._child.poll() is None:
            self._loop.call_later(_POLL, self._poll)
        else:
            self._reap()

    def _reap(self) -> None:
        code = self._child.wait()
        self._exited = True
        if self._pidfd is not None:
            self._loop.remove_reader(self._pidfd)
            os.close(self._pidfd)
            self._pidfd = None
        if self._kill:
            self._kill.cancel()
        for fd in list(self._readers):
            # A descendant that writes for ever must not keep us here.
            for _ in range(_REST):
                if not self._readable(fd):
                    break
            self._loop.remove_reader(fd)
        self._readers.clear()
        self.abandon_input()
        for pipe in (self._child.stdout, self._child.stderr):
            assert pipe
            pipe.close()
        self._ended.set_result(code)
