"""A local process, such as ssh."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Sequence

from provision.transport.loop import READ, Loop, Timer
from provision.transport.streams import OnBytes, Streams, pipes

_KILL_AFTER = 6.0
"""Seconds; the host side needs some to end its commands (`host.machine.CUT`)."""

_POLL = 0.1


class Process(Streams):
    """A process that has been started, in a session of its own: a ^C on the terminal reaches only us.

    Args:
        loop: what calls it.
        argv: program and arguments.
        on_output: called with each piece of its standard output.
        on_error: called with each piece of its standard error.

    Raises:
        OSError: it cannot be started.
    """

    def __init__(self, loop: Loop, argv: Sequence[str], on_output: OnBytes, on_error: OnBytes) -> None:
        super().__init__(loop, on_output, on_error)
        with pipes() as ((stdin, stdout, stderr), near):
            self._child = subprocess.Popen(
                list(argv), stdin=stdin, stdout=stdout, stderr=stderr, start_new_session=True
            )
        self._attend(near)
        self._kill: Timer | None = None
        self._pidfd: int | None = None
        try:
            self._pidfd = os.pidfd_open(self._child.pid)
            loop.watch(self._pidfd, READ, self._reap)
        except (AttributeError, OSError):  # Python or the kernel is too old for it
            loop.later(_POLL, self._poll)

    def end(self) -> None:
        """Ask the process and its children to end, and make them when they do not within a few seconds."""
        self.abandon_input()
        if self._exited or self._kill:
            return
        self._signal(signal.SIGTERM)
        self._kill = self._loop.later(_KILL_AFTER, lambda: self._signal(signal.SIGKILL))

    def leave(self) -> None:
        """Ask the process to end, and wait for nothing: what it carries out ends when its input has ended."""
        self.end()
        if self._exited:
            return
        if self._kill:
            self._kill.cancel()
        self._forget()
        self._finish(-signal.SIGTERM)

    def _signal(self, signum: int) -> None:
        if not self._exited:
            try:
                os.killpg(self._child.pid, signum)
            except (ProcessLookupError, PermissionError):
                pass  # it has ended, or all of it is another user's: its input has ended, which it sees

    def _poll(self) -> None:
        if self._exited:
            return
        if self._child.poll() is None:
            self._loop.later(_POLL, self._poll)
        else:
            self._reap()

    def _reap(self) -> None:
        code = self._child.wait()
        self._forget()
        if self._kill:
            self._kill.cancel()
        self._finish(code)

    def _forget(self) -> None:
        if self._pidfd is not None:
            self._loop.forget(self._pidfd)
            os.close(self._pidfd)
            self._pidfd = None
