"""The standard input, output and error of a command on a host, as this end of three pipes."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial

from provision.transport.loop import READ, WRITE, Loop, Promise

_CHUNK = 1 << 16
_REST = 1024

OnBytes = Callable[[bytes], None]

Ends = tuple[int, int, int]
"""The ends of the pipes for standard input, output and error, on one side."""


@contextmanager
def pipes() -> Iterator[tuple[Ends, Ends]]:
    """Open the pipes of a command.

    The first ends are for the command, which has its own copies after the block. The second ones are ours,
    and never block; they are closed only when the block fails.
    """
    (far_in, near_in), (near_out, far_out), (near_err, far_err) = os.pipe(), os.pipe(), os.pipe()
    far, near = (far_in, far_out, far_err), (near_in, near_out, near_err)
    try:
        for fd in near:
            os.set_blocking(fd, False)
        yield far, near
    except BaseException:
        for fd in near:
            os.close(fd)
        raise
    finally:
        for fd in far:
            os.close(fd)


class Streams:
    """A command that is being carried out: what it prints is handed out, and what it is to read is sent.

    Subclasses start it, and call `_finish` when it has ended.

    Args:
        loop: what calls it.
        on_output: called with each piece of its standard output.
        on_error: called with each piece of its standard error.
    """

    def __init__(self, loop: Loop, on_output: OnBytes, on_error: OnBytes) -> None:
        self._loop = loop
        self._takers = on_output, on_error
        self._stdin: int | None = None
        self._readers: dict[int, OnBytes] = {}
        self._backlog = bytearray()
        self._closing = False
        self._exited = False
        self._ended: Promise[int] = Promise(loop)

    async def wait(self) -> int:
        """Return the exit code once the command has ended and all that it wrote has been handed out.

        A descendant that still holds the other end of a pipe is not waited for.
        """
        return await self._ended

    @property
    def ended(self) -> bool:
        """Whether the command has ended."""
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
        """End the command and its children."""
        raise NotImplementedError

    def leave(self) -> None:
        """End the command, and do not wait until it has ended."""
        self.end()

    def _attend(self, near: Ends) -> None:
        """Serve the near ends of the pipes from now on."""
        self._stdin, *outputs = near
        self._readers = dict(zip(outputs, self._takers, strict=True))
        for fd in self._readers:
            self._loop.watch(fd, READ, partial(self._readable, fd))

    def _finish(self, code: int) -> None:
        """Hand out what is left, close the pipes, and say how the command has ended."""
        self._exited = True
        for fd in list(self._readers):
            # A descendant that writes for ever must not keep us here.
            for _ in range(_REST):
                if not self._readable(fd):
                    break
        for fd in list(self._readers):
            self._drop(fd)
        self.abandon_input()
        self._ended.keep(code)

    def _flush(self) -> None:
        if self._stdin is None:
            return
        try:
            while self._backlog:
                del self._backlog[: os.write(self._stdin, self._backlog)]
        except BlockingIOError:
            self._loop.forget(self._stdin)
            self._loop.watch(self._stdin, WRITE, self._flush)
            return
        except OSError:
            self._backlog.clear()
            self._closing = True
        self._loop.forget(self._stdin)
        if self._closing:
            os.close(self._stdin)
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
            self._drop(fd)
            return False
        self._readers[fd](data)
        return True

    def _drop(self, fd: int) -> None:
        self._loop.forget(fd)
        del self._readers[fd]
        os.close(fd)
