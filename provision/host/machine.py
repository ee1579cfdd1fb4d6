"""The machine a run works on: commands, shared reads, and the way to say how it goes."""

from __future__ import annotations

import codecs
import io
import os
import pwd
import select
import signal
import subprocess
import threading
import time
from typing import Any, Callable, Dict, Hashable, Iterator, Mapping, NamedTuple, Sequence, TypeVar

from provision.host.resource import Failure

T = TypeVar("T")
Event = Dict[str, Any]

ADMIN_PATH = os.environ.get("PATH", "/usr/bin:/bin") + ":/usr/local/sbin:/usr/sbin:/sbin"
"""A search path that has the tools of administration too, which the login of an ordinary user leaves out."""

TAIL = 40
"""Lines of a failed command's output that are kept for the error."""


class Completed(NamedTuple):
    """A command that has ended."""

    code: int
    out: str
    err: str


class Machine:
    """What resource types act through.

    Args:
        emit: sends one event to the controller; safe to call from any thread.
        state: directory of what provision remembers on this host (ledger, marks).
        deep: read everything again, however long it takes (hash every model file).
    """

    def __init__(self, emit: Callable[[Event], None], state: str, deep: bool = False) -> None:
        self.emit = emit
        self.state = state
        self.deep = deep
        self.cancelled = threading.Event()
        self.root = os.geteuid() == 0
        self._reads: dict[Hashable, Any] = {}
        self._locks: dict[Hashable, threading.Lock] = {}
        self._guard = threading.Lock()
        self._children: dict[int, bool] = {}

    # -- shared reads -------------------------------------------------------------------------------------

    def once(self, key: Hashable, read: Callable[[], T]) -> T:
        """Return what `read` gives, calling it once a run for each `key` however many threads ask."""
        with self._guard:
            lock = self._locks.setdefault(key, threading.Lock())
        with lock:
            if key not in self._reads:
                self._reads[key] = read()
            value: T = self._reads[key]
            return value

    def forget(self, key: Hashable) -> None:
        """Drop a shared read, because what it read has been changed."""
        with self._guard:
            lock = self._locks.setdefault(key, threading.Lock())
        with lock:
            self._reads.pop(key, None)

    # -- commands -----------------------------------------------------------------------------------------

    def run(
        self,
        argv: Sequence[str],
        *,
        timeout: float | None = None,
        env: Mapping[str, str] | None = None,
        cwd: str | None = None,
        user: str | None = None,
        input: str | None = None,
        on_line: Callable[[str], None] | None = None,
        check: bool = True,
        interruptible: bool = True,
    ) -> Completed:
        """Run a command and return how it ended.

        Args:
            argv: program and arguments; no shell is involved.
            timeout: seconds, after which the command's whole process group is ended; None waits for ever.
            env: variables added to the environment.
            cwd: working directory.
            user: run as this user (the run itself must be root).
            input: text for its standard input; nothing otherwise.
            on_line: called with each line as it is printed; standard error then joins standard output.
            check: raise `Failure` when the exit code is not zero.
            interruptible: end the command when the controller has gone; not for what must run to its end
            (dpkg).

        Raises:
            Failure: it cannot be started, ran out of time, was cancelled, or (with `check`) failed.
        """
        if self.cancelled.is_set():
            raise Failure("cancelled: the controller went away")
        name = os.path.basename(argv[0])
        environ = {**os.environ, "LC_ALL": "C.UTF-8", **(env or {})}
        switched: dict[str, Any] = {}
        if user is not None and user != pwd.getpwuid(os.geteuid()).pw_name:
            switched["preexec_fn"] = become(user)
            environ["HOME"] = pwd.getpwnam(user).pw_dir
        try:
            child = subprocess.Popen(
                list(argv),
                stdin=subprocess.PIPE if input is not None else subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT if on_line else subprocess.PIPE,
                cwd=cwd,
                env=environ,
                start_new_session=True,
                encoding="utf-8",
                errors="replace",
                **switched,
            )
        except FileNotFoundError as error:
            missing = error.filename if error.filename else argv[0]
            raise Failure(f"{missing}: no such file or command") from None
        except OSError as error:
            raise Failure(f"{argv[0]}: {error.strerror or error}") from None
        with self._guard:
            self._children[child.pid] = interruptible
        if interruptible and self.cancelled.is_set():
            _kill_group(child.pid, signal.SIGTERM)
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
            child.wait()
        finally:
            if clock:
                clock.cancel()
                if late.is_set():
                    clock.join()  # until nothing of the group is left
            with self._guard:
                self._children.pop(child.pid, None)
        tail = (out + err).splitlines()[-TAIL:]
        if late.is_set():
            raise Failure(f"{name} did not end within {timeout or 0:.0f} s", log=tail)
        if self.cancelled.is_set() and interruptible:
            raise Failure("cancelled: the controller went away")
        if check and child.returncode != 0:
            last = next((line.strip() for line in reversed(tail) if line.strip()), "")
            how = f"signal {-child.returncode}" if child.returncode < 0 else f"exit {child.returncode}"
            raise Failure(f"{name} failed ({how}): {last}", log=tail)
        return Completed(child.returncode, out, err)

    def cancel(self) -> None:
        """Stop what can be stopped: the controller is gone, and nobody would see the rest."""
        self.cancelled.set()
        with self._guard:
            children = [pid for pid, interruptible in self._children.items() if interruptible]
        for pid in children:
            _kill_group(pid, signal.SIGTERM)

    def sleep(self, seconds: float) -> None:
        """Wait, but no longer than until the run is cancelled.

        Raises:
            Failure: the run was cancelled.
        """
        if self.cancelled.wait(seconds):
            raise Failure("cancelled: the controller went away")

    # -- telling ------------------------------------------------------------------------------------------

    def progress(
        self, id: str, done: float, total: float | None = None, unit: str = "bytes", text: str = ""
    ) -> None:
        """Say how far a resource's work has come; at most a few times a second is useful."""
        self.emit({"event": "progress", "id": id, "done": done, "total": total, "unit": unit, "text": text})

    def waiting(self, id: str, what: str, seconds: float) -> None:
        """Say that a resource waits for something that somebody else holds."""
        self.emit({"event": "waiting", "id": id, "for": what, "seconds": round(seconds, 1)})

    def output(self, id: str, line: str) -> None:
        """Pass on a line that a resource's command printed."""
        self.emit({"event": "output", "id": id, "line": line})


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


def become(user: str) -> Callable[[], None]:
    """Return what a child process calls before its program to become a user for good."""
    entry = pwd.getpwnam(user)

    def switch() -> None:
        os.initgroups(user, entry.pw_gid)
        os.setgid(entry.pw_gid)
        os.setuid(entry.pw_uid)

    return switch


def _kill_group(pid: int, signum: int) -> None:
    try:
        os.killpg(pid, signum)
    except (ProcessLookupError, PermissionError):
        pass


def _expire(child: subprocess.Popen[str], late: threading.Event) -> None:
    late.set()
    _kill_group(child.pid, signal.SIGTERM)
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline:
        child.poll()
        if not _group_lives(child.pid):
            return
        time.sleep(0.1)
    _kill_group(child.pid, signal.SIGKILL)


def _group_lives(pid: int) -> bool:
    """Whether a process of the group is left; the leader may have gone before the others."""
    try:
        os.killpg(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True
