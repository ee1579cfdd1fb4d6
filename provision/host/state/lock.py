"""One run at a time on a host."""

from __future__ import annotations

import fcntl
import os
import tempfile
import time
from hashlib import sha256
from typing import Callable, TypeVar

from provision.host.failure import Failure
from provision.host.machine import Machine
from provision.wire import events, plainjson, questions

T = TypeVar("T")


class Left(Exception):
    """Nothing was changed yet, and another run is to have this host first."""


def lock_path(state: str) -> str:
    """Return the lock file of a state directory; it is elsewhere, as a refused plan must not make that."""
    name = f"provision-{sha256(state.encode()).hexdigest()[:16]}.lock"
    user = os.geteuid()
    runtime = f"/run/user/{user}" if user else "/run"
    if os.path.isdir(runtime):
        return os.path.join(runtime, name)
    return os.path.join(tempfile.gettempdir(), f"{user}-{name}")


class RunLock:
    """Held while a run changes the host. The kernel releases it when the process ends, however it ends.

    Args:
        machine: whose state directory holds the lock.
        who: shown to whoever has to wait.
        doing: the same, what for.
        patience: seconds to wait for other runs before giving up; 0: not at all.
    """

    def __init__(self, machine: Machine, who: str, doing: str, patience: float) -> None:
        self._machine = machine
        self._who = who
        self._doing = doing
        self._patience = patience
        self._since = time.strftime("%Y-%m-%d %H:%M:%S")
        self._fd = -1

    def __enter__(self) -> RunLock:
        path = lock_path(self._machine.state)
        self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        since = time.monotonic()
        told = -10.0
        while True:
            try:
                fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                waited = time.monotonic() - since
                holder = self._holder()
                if waited >= self._patience:
                    raise Failure(
                        "host-locked",
                        f"another run {'still ' if self._patience else ''}holds this host: {holder}",
                        hint="wait for it, or end it if nobody needs it any more",
                    ) from None
                if waited - told >= 5:
                    told = waited
                    self._machine.emit(
                        events.Waiting(id="", reason=holder, seconds=round(waited, 1), locked=True)
                    )
                self._machine.sleep(0.2)
        self._patience = max(0.0, self._patience - (time.monotonic() - since))
        self.tell()
        return self

    def __exit__(self, *error: object) -> None:
        os.close(self._fd)

    def tell(self, more: str = "") -> None:
        """Say who holds the lock, what for, and how far that has come; on a full disk it holds unsigned."""
        doing = ", ".join(filter(None, [self._doing, more]))
        try:
            os.ftruncate(self._fd, 0)
            said = {"who": self._who, "doing": doing, "pid": os.getpid(), "since": self._since}
            os.pwrite(self._fd, plainjson.dumps(said).encode(), 0)
        except OSError:
            pass

    def _holder(self) -> str:
        try:
            holder = plainjson.loads(os.pread(self._fd, 4096, 0).decode())
            return "{who} since {since}: {doing} (pid {pid})".format(**holder)
        except (ValueError, KeyError):
            return "unknown"


def under(machine: Machine, lock: RunLock, work: Callable[[], T]) -> T:
    """Work under the lock of this host; again, from the beginning, after it was left to another run.

    Raises:
        Failure: the controller says that no more hosts are changed, or what `work` raises.
    """
    while True:
        with lock:
            try:
                return work()
            except Left:
                pass
        answer = machine.ask(questions.Turn(free=True), endless=True)
        if not answer.go:
            raise Failure.of(answer.findings[0])
        machine.renew()
