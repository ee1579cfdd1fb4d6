"""The machine a run works on: commands, shared reads, and the way to say how it goes."""

from __future__ import annotations

import os
import pwd
import time
from _thread import allocate_lock, start_new_thread
from threading import Event
from typing import Any, Callable, Hashable, Mapping, Sequence, TypeVar

from provision.host import causes, children
from provision.host.capture import KILL, TERM, Completed, capture, end_group, group_lives
from provision.host.dialogue import Dialogue
from provision.host.failure import Failure
from provision.wire import events, questions, survey
from provision.wire.finding import information

T = TypeVar("T")

ADMIN_PATH = os.environ.get("PATH", "/usr/bin:/bin") + ":/usr/local/sbin:/usr/sbin:/sbin"
"""A search path with the tools of administration, which the `PATH` of an ordinary user leaves out."""

CANCELLED = "cancelled"
"""What is said of work that was cut off. Only whoever has cut it off can still read it."""

UNCUT = "a step that must not be interrupted, such as dpkg, runs to its end on the host"
"""What is said when such a step runs."""

CUT = 4.0
"""Seconds that a cancelled command has to end after SIGTERM, before its whole process group gets SIGKILL."""

PATIENCE = 300.0
"""Seconds that the controller has to answer a question: it may be busy with many hosts, or stopped by ^Z."""

TELL = 10.0
"""Seconds between two reports of the wait for an answer that depends on others."""

LOOK = 0.5
"""Seconds after which a wait for the controller notices that the run was cancelled on this host."""

TAIL = 40
"""Lines of a failed command's output that are kept for the error."""


class Machine:
    """What resource types act through.

    Args:
        emit: sends one event to the controller; safe to call from any thread.
        state: directory of what provision remembers on this host (ledger, marks).
        deep: read everything again, however long it takes (hash every model file).
        place: directory for what may be forgotten at any time; None without one.
        dialogue: gives answers of the controller to who has asked; None where there is no controller.
    """

    def __init__(
        self,
        emit: Callable[[events.Event], None],
        state: str,
        deep: bool = False,
        place: str | None = None,
        dialogue: Dialogue | None = None,
    ) -> None:
        self.emit = emit
        self._dialogue = dialogue or Dialogue()
        self.state = state
        self.deep = deep
        self.ignored: Sequence[str] = ()
        """The codes of findings that are to stop nothing."""
        self.place = place
        self.cancelled = Event()
        self.root = os.geteuid() == 0
        self._reads: dict[Hashable, Any] = {}
        self._locks: dict[Hashable, Any] = {}
        self._guard = allocate_lock()
        self._children: dict[int, bool] = {}
        self._ending = 0

    # -- shared reads -------------------------------------------------------------------------------------

    def once(self, key: Hashable, read: Callable[[], T]) -> T:
        """Return what `read` gives, calling it once a run for each `key` however many threads ask."""
        with self._lock(key):
            if key not in self._reads:
                self._reads[key] = read()
            value: T = self._reads[key]
            return value

    def attempt(self, key: Hashable, read: Callable[[], T]) -> T | Failure:
        """Return what `read` gives or why it fails; called once a run, as for `once`."""

        def tried() -> T | Failure:
            try:
                return read()
            except Failure as failure:
                return failure

        return self.once(key, tried)

    def forget(self, key: Hashable) -> None:
        """Drop a shared read, because what it read has been changed."""
        with self._lock(key):
            self._reads.pop(key, None)

    def renew(self) -> None:
        """Drop all shared reads: others may have changed what was read."""
        with self._guard:
            self._reads.clear()

    def correct(self, key: Hashable, part: Hashable, value: Any) -> None:
        """Replace one part of a shared read, if it has been made, by what was read again."""
        with self._lock(key):
            if isinstance(self._reads.get(key), Failure):
                del self._reads[key]
            elif key in self._reads:
                self._reads[key][part] = value

    def _lock(self, key: Hashable) -> Any:
        with self._guard:
            return self._locks.setdefault(key, allocate_lock())

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
            interruptible: end the command when the controller has gone; dpkg must run to its end.

        Raises:
            Failure: it cannot be started, ran out of time, was cancelled, or (with `check`) failed.
        """
        if self.cancelled.is_set():
            raise Failure("run-cancelled", CANCELLED)
        environ = {**os.environ, "LC_ALL": "C.UTF-8", **(env or {})}
        if user is not None and user == pwd.getpwuid(os.geteuid()).pw_name:
            user = None
        if user is not None:
            environ["HOME"] = pwd.getpwnam(user).pw_dir
        pid = 0

        def started(number: int) -> None:
            nonlocal pid
            pid = number
            with self._guard:
                self._children[pid] = interruptible
            if interruptible and self.cancelled.is_set():
                self._end([pid])

        kills = causes.oom_kills() if on_line else 0
        try:
            if cwd is None and user is None and input is None and on_line is None:
                ended = capture(argv, environ, timeout, started)
            else:
                ended = children.run(
                    argv, environ, timeout, started, cwd=cwd, user=user, input=input, on_line=on_line
                )
        except FileNotFoundError as error:
            missing = error.filename if error.filename else argv[0]
            raise Failure("missing-program", f"{missing}: no such file or command") from None
        except OSError as error:
            raise Failure("command-failed", f"{argv[0]}: {error.strerror or error}") from None
        finally:
            with self._guard:
                self._children.pop(pid, None)
        name = os.path.basename(argv[0])
        tail = (ended.out + ended.err).splitlines()[-TAIL:]
        if ended.late:
            raise Failure("command-failed", f"{name} did not end within {timeout or 0:.0f} s", log=tail)
        if self.cancelled.is_set() and interruptible:
            raise Failure("run-cancelled", CANCELLED)
        if check and ended.code != 0:
            last = next((line.strip() for line in reversed(tail) if line.strip()), "")
            if on_line and ended.code == -KILL and causes.oom_kills() > kills:
                message = f"{name} was killed, as the memory of the host was full"
                raise Failure("memory-full", message, hint="free some there, or let it need less", log=tail)
            how = f"signal {-ended.code}" if ended.code < 0 else f"exit {ended.code}"
            code = causes.code_of(last) or "command-failed"
            raise Failure(code, f"{name} failed ({how}): {last}", log=tail)
        return ended

    def cancel(self) -> None:
        """End what can be ended: nobody waits for the results any more."""
        self.cancelled.set()
        with self._guard:
            children = dict(self._children)
        self._end([pid for pid, interruptible in children.items() if interruptible])
        if not all(children.values()):
            self.note("uncut-step", UNCUT)

    def settle(self) -> None:
        """Wait until all commands that were cut off have ended, `CUT` seconds at most."""
        while self._ending:
            time.sleep(0.05)

    def _end(self, groups: Sequence[int]) -> None:
        with self._guard:
            self._ending += 1
        start_new_thread(self._end_groups, (groups,))

    def _end_groups(self, groups: Sequence[int]) -> None:
        """Send SIGTERM to process groups, and SIGKILL to what is left of them after `CUT` seconds."""
        try:
            for group in groups:
                end_group(group, TERM)
            deadline = time.monotonic() + CUT
            while any(map(group_lives, groups)) and time.monotonic() < deadline:
                time.sleep(0.05)
            for group in groups:
                end_group(group, KILL)
        finally:
            with self._guard:
                self._ending -= 1

    def sleep(self, seconds: float) -> None:
        """Wait, but no longer than until the run is cancelled.

        Raises:
            Failure: the run was cancelled.
        """
        if self.cancelled.wait(seconds):
            raise Failure("run-cancelled", CANCELLED)

    def ask(
        self,
        question: questions.Question,
        *,
        endless: bool = False,
        reason: str = "",
        silence: float | None = None,
    ) -> survey.Answer:
        """Ask the controller, and wait for its answer: `PATIENCE` seconds at most, or as long as it is there.

        Args:
            question: what it is asked.
            endless: wait as long as it is there.
            reason: what is waited for, in words, which is told again and again; empty: nothing is.
            silence: seconds without a sign of life after which it counts as gone; None where it gives none.

        Raises:
            Failure: the run was cancelled, or no answer has come.
            Mismatch: what has come is no answer.
        """
        number = self._dialogue.begin()
        self.emit(question.replace(waits=True, number=number))
        asked = told = time.monotonic()
        try:
            while not self.cancelled.is_set():
                left = LOOK if endless else asked + PATIENCE - time.monotonic()
                if left <= 0:
                    message = f"the controller has not answered within {PATIENCE:.0f} s; nothing was changed"
                    raise Failure("no-answer", message, hint="apply again")
                answer = self._dialogue.hear(number, min(left, LOOK))
                if answer is not None:
                    return answer
                now = time.monotonic()
                if reason and now - told >= TELL:
                    told = now
                    self.waiting("", reason, now - asked)
                if silence is not None and self._dialogue.silent() > silence:
                    break
        finally:
            self._dialogue.end(number)
        raise Failure("run-cancelled", CANCELLED)

    def listen(self, question: questions.Question) -> Callable[[], survey.Answer | None]:
        """Ask the controller, and go on; return what tells its answer, which may never come."""
        number = self._dialogue.begin()  # and never ends: an answer that comes late is for nobody else
        self.emit(question.replace(waits=True, number=number))
        return lambda: self._dialogue.hear(number, 0)

    # -- telling ------------------------------------------------------------------------------------------

    def progress(
        self, id: str, done: float, total: float | None = None, unit: str = "bytes", text: str = ""
    ) -> None:
        """Tell how far the work on a resource has come; a few times a second is enough."""
        self.emit(events.Progress(id=id, done=done, total=total, unit=unit, text=text))

    def waiting(self, id: str, reason: str, seconds: float) -> None:
        """Say that a resource waits for something that somebody else holds."""
        self.emit(events.Waiting(id=id, reason=reason, seconds=round(seconds, 1)))

    def output(self, id: str, line: str) -> None:
        """Pass on a line that a resource's command printed."""
        self.emit(events.Output(id=id, line=line))

    def note(self, code: str, message: str) -> None:
        """Tell something that is good to know."""
        self.emit(events.Note(finding=information(code, message)))


def os_release() -> dict[str, str]:
    """Return what the distribution says of itself, with the quotes that values have in the file."""
    release: dict[str, str] = {}
    try:
        with open("/etc/os-release", encoding="utf-8") as file:
            for line in file:
                key, _, value = line.strip().partition("=")
                release[key] = value
    except OSError:
        pass
    return release
