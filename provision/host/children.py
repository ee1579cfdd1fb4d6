"""Running a command with all that `subprocess` can do for it."""

from __future__ import annotations

import codecs
import io
import os
import pwd
import select
import subprocess
import threading
import time
from typing import Any, Callable, Iterator, Mapping, Sequence

from provision.host.capture import KILL, TERM, Completed, end_group, group_lives


def run(
    argv: Sequence[str],
    env: Mapping[str, str],
    timeout: float | None,
    on_start: Callable[[int], None],
    *,
    cwd: str | None = None,
    user: str | None = None,
    input: str | None = None,
    on_line: Callable[[str], None] | None = None,
) -> Completed:
    """Run a command to its end, in a session of its own.

    Args:
        argv: program and arguments.
        env: its environment.
        timeout: seconds, after which the whole process group is ended; None waits for ever.
        on_start: gets its pid.
        cwd: working directory.
        user: run as this user.
        input: text for its standard input; nothing otherwise.
        on_line: called with each line as it is printed; standard error then joins standard output.

    Raises:
        OSError: it cannot be started.
    """
    switched: dict[str, Any] = {"preexec_fn": become(user)} if user is not None else {}
    child = subprocess.Popen(
        list(argv),
        stdin=subprocess.PIPE if input is not None else subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT if on_line else subprocess.PIPE,
        cwd=cwd,
        env=env,
        start_new_session=True,
        encoding="utf-8",
        errors="replace",
        **switched,
    )
    on_start(child.pid)
    late = threading.Event()
    clock = threading.Timer(timeout, _expire, (child, late)) if timeout else None
    if clock:
        clock.daemon = True
        clock.start()
    try:
        if on_line:
            out, err = _follow(child, input, on_line), ""
        else:
            out, err = child.communicate(input)
        code = child.wait()
    finally:
        if clock:
            clock.cancel()
            if late.is_set():
                clock.join()  # until nothing of the group is left
    return Completed(code, out, err, late.is_set())


def become(user: str) -> Callable[[], None]:
    """Return what a child process calls before its program to become a user for good."""
    entry = pwd.getpwnam(user)

    def switch() -> None:
        os.initgroups(user, entry.pw_gid)
        os.setgid(entry.pw_gid)
        os.setuid(entry.pw_uid)

    return switch


def _follow(child: subprocess.Popen[str], input: str | None, on_line: Callable[[str], None]) -> str:
    if input is not None and child.stdin:
        child.stdin.write(input)
        child.stdin.close()
    assert child.stdout is not None
    decoder = io.IncrementalNewlineDecoder(codecs.getincrementaldecoder("utf-8")("replace"), translate=True)
    kept: list[str] = []
    rest = ""
    for block in _blocks(child, child.stdout.fileno()):
        lines = (rest + decoder.decode(block, final=not block)).split("\n")
        rest = lines.pop()
        if not block and rest:
            lines.append(rest)
        for line in lines:
            kept.append(line)
            del kept[:-400]
            on_line(line)
    return "\n".join(kept)


def _blocks(child: subprocess.Popen[str], pipe: int) -> Iterator[bytes]:
    """Yield what the child prints, at last an empty block.

    That is at the end of the pipe, or when the child has ended and the pipe is silent: a daemon that it has
    started may hold the pipe open for ever.
    """
    poll = select.poll()
    poll.register(pipe, select.POLLIN | select.POLLHUP)
    while True:
        if poll.poll(500):
            block = os.read(pipe, 65536)
            yield block
            if not block:
                return
        elif child.poll() is not None:
            yield b""
            return


def _expire(child: subprocess.Popen[str], late: threading.Event) -> None:
    late.set()
    end_group(child.pid, TERM)
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline:
        child.poll()
        if not group_lives(child.pid):
            return
        time.sleep(0.1)
    end_group(child.pid, KILL)
