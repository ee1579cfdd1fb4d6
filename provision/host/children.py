"""Running a command with more than `capture` can do: in a directory, as a user, with input, line by line."""

from __future__ import annotations

import codecs
import io
import os
import pwd
import subprocess
from typing import Callable, Mapping, Sequence

from provision.host.capture import Completed, follow, text
from provision.host.files.ownership import USERS

KEPT = 400
"""Lines of a command's output that are kept when each was passed on."""


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
    child = subprocess.Popen(
        list(argv),
        stdin=subprocess.PIPE if input else subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT if on_line else subprocess.PIPE,
        cwd=cwd,
        env=env,
        start_new_session=True,
        preexec_fn=become(user) if user is not None else None,
    )
    on_start(child.pid)
    with child:
        if child.stdin:
            try:
                child.stdin.write((input or "").encode())
                child.stdin.close()
            except BrokenPipeError:
                pass  # the command does not read it
        out: list[bytes] = []
        err: list[bytes] = []
        lines = _Lines(on_line) if on_line else None
        readers = {child.stdout: lines.add if lines else out.append, child.stderr: err.append}
        pipes = {pipe.fileno(): reader for pipe, reader in readers.items() if pipe}
        child.returncode, late = follow(child.pid, pipes, timeout)
    return Completed(child.returncode, lines.end() if lines else text(out), text(err), late)


def become(user: str) -> Callable[[], None] | None:
    """Return what a child process calls before its program to become a user; None if we are that user.

    Raises:
        Failure: there is no such user.
    """
    try:
        entry = pwd.getpwnam(user)
    except KeyError:
        raise USERS.unknown(user) from None
    if entry.pw_uid == os.geteuid():
        return None

    def switch() -> None:
        os.initgroups(user, entry.pw_gid)
        os.setgid(entry.pw_gid)
        os.setuid(entry.pw_uid)

    return switch


class _Lines:
    """Passes each line on as soon as it is whole."""

    def __init__(self, on_line: Callable[[str], None]) -> None:
        decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._decoder = io.IncrementalNewlineDecoder(decoder, translate=True)
        self._on_line = on_line
        self._kept: list[str] = []
        self._rest = ""

    def add(self, block: bytes) -> None:
        *lines, self._rest = (self._rest + self._decoder.decode(block)).split("\n")
        for line in lines:
            self._on_line(line)
        self._kept = [*self._kept, *lines][-KEPT:]

    def end(self) -> str:
        """Pass on what is left, and return the last lines of all."""
        if self._rest:
            self.add(b"\n")
        return "\n".join(self._kept)
