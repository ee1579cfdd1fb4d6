"""Running a command for its output, without importing `subprocess`: most runs need no more."""

from __future__ import annotations

import os
import select
import time
from typing import Callable, Iterable, Mapping, NamedTuple, Sequence

from provision.host.files.paths import which

TERM, KILL = 15, 9
"""Numbers of signals. The `signal` module makes enumerations of them, which takes longer than a command."""

_IGNORED = (13, 25)
"""SIGPIPE and SIGXFSZ: Python ignores them, and a command must not."""

_LOOK = 0.5
"""Seconds between two looks at a command that prints nothing."""

_SOON = 0.0002
"""Seconds until the first look at a command that has closed its pipes; doubled each time."""

_GRACE = 5.0
"""Seconds between SIGTERM and SIGKILL."""


class Completed(NamedTuple):
    """A command that has ended."""

    code: int
    """Exit code, or a signal's number below zero."""
    out: str
    err: str
    late: bool = False
    """It ran out of time."""


def capture(
    argv: Sequence[str], env: Mapping[str, str], timeout: float | None, on_start: Callable[[int], None]
) -> Completed:
    """Run a command to its end, with nothing on its standard input, in a process group of its own.

    Args:
        argv: program, found on the `PATH` of `env`, and arguments.
        env: its environment.
        timeout: seconds, after which the whole group is ended; None waits for ever.
        on_start: gets its pid.

    Raises:
        OSError: it cannot be started.
    """
    program = which(argv[0], env.get("PATH"))
    if program is None:
        raise FileNotFoundError(2, os.strerror(2), argv[0])
    pipes = os.pipe(), os.pipe()
    try:
        actions = (
            (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
            (os.POSIX_SPAWN_DUP2, pipes[0][1], 1),
            (os.POSIX_SPAWN_DUP2, pipes[1][1], 2),
        )
        pid = os.posix_spawn(program, list(argv), env, file_actions=actions, setpgroup=0, setsigdef=_IGNORED)
    except BaseException:
        for read, _ in pipes:
            os.close(read)
        raise
    finally:
        for _, write in pipes:
            os.close(write)
    on_start(pid)
    out: list[bytes] = []
    err: list[bytes] = []
    try:
        code, late = follow(pid, {pipes[0][0]: out.append, pipes[1][0]: err.append}, timeout)
        return Completed(code, text(out), text(err), late)
    finally:
        for read, _ in pipes:
            os.close(read)


def end_group(group: int, signal: int) -> None:
    """Send a signal to a process group, if it still exists."""
    try:
        os.killpg(group, signal)
    except (ProcessLookupError, PermissionError):
        pass


def group_lives(group: int) -> bool:
    """Whether a process of a group is left; its leader may have ended before the others."""
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True


def follow(
    pid: int, pipes: Mapping[int, Callable[[bytes], object]], timeout: float | None
) -> tuple[int, bool]:
    """Read what a command prints, until its pipes end or it has ended: a daemon of its own may hold them.

    Args:
        pid: of the command, which leads a process group.
        pipes: what takes the blocks that come out of each pipe.
        timeout: seconds, after which the whole group is ended; None waits for ever.

    Returns:
        Its exit code, or a signal's number below zero; and whether it ran out of time.
    """
    ours = select.poll()
    for pipe in pipes:
        ours.register(pipe, select.POLLIN | select.POLLHUP)
    left = len(pipes)
    deadline = None if timeout is None else time.monotonic() + timeout
    signals = [TERM, KILL]
    pause = _SOON
    while True:
        ready = ours.poll((_LOOK if left else pause) * 1000)
        for pipe, _ in ready:
            block = os.read(pipe, 1 << 16)
            pipes[pipe](block)
            if not block:
                ours.unregister(pipe)
                left -= 1
        if not ready or not left:
            code = _code(pid)
            if code is not None:
                late = len(signals) < 2
                if late:
                    end_group(pid, KILL)  # what it has left behind
                return code, late
            pause = min(2 * pause, _LOOK)
        if deadline is not None and signals and time.monotonic() > deadline:
            end_group(pid, signals.pop(0))
            deadline = time.monotonic() + _GRACE


def _code(pid: int) -> int | None:
    """Return how a child has ended, or None when it has not."""
    ended, status = os.waitpid(pid, os.WNOHANG)
    if not ended:
        return None
    return -os.WTERMSIG(status) if os.WIFSIGNALED(status) else os.WEXITSTATUS(status)


def text(blocks: Iterable[bytes]) -> str:
    """Return what a command has printed as text, whose lines end with a line feed."""
    return b"".join(blocks).decode("utf-8", "replace").replace("\r\n", "\n").replace("\r", "\n")
