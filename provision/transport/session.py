"""One host's part of a run: the remote execution, and what comes back from it as typed events."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
from collections import deque
from collections.abc import Callable
from enum import Enum
from typing import Literal, NamedTuple

from provision import __version__
from provision.connect import Connection
from provision.connect.base import ABSENT, PATIENCE, last_line
from provision.connect.become import PROMPT, refusal
from provision.transport import bootstrap
from provision.transport.archive import Archive
from provision.transport.process import Process
from provision.transport.reading import read
from provision.transport.visible import visible
from provision.wire.events import Bootstrapped, Done, Error, Event, Heartbeat, Hello, Unreachable
from provision.wire.finding import Finding, fault
from provision.wire.record import Mismatch

OnEvent = Callable[[Event], None]

Status = Literal["ok", "failed", "unreachable", "cancelled"]

_EVENT = b'{"event":'
_NOISE_LINES = 20
_STDERR_BYTES = 16_384
_LINE_BYTES = 16 << 20
_LOG_LINES = 20

_SIGNALLED = 128
"""What a shell adds to the number of the signal that has killed a program."""

_SSH_FAILED = 255
"""How ssh ends when the fault is its own."""

_KILLED = re.compile(re.escape(bootstrap.KILLED).replace(rb"%d", rb"(\d+)"))

_UNATTENDED = (
    "the host was not waited for: it ends its commands within a few seconds by itself, "
    "except those that must not be cut off, such as dpkg"
)


class Limits(NamedTuple):
    """How long a host may be silent, in seconds.

    Args:
        connect: until its first word, over a new connection.
        kept: the same over a kept connection; it is not used again then, and a new one is tried.
        silence: between two signs of life after that. The host side gives one every 5 seconds.
        ending: from its last event until its process has gone.
        handshake: how long a connection that is being made counts among those that load this machine.
    """

    connect: float = PATIENCE
    kept: float = 5.0
    silence: float = 60.0
    ending: float = 5.0
    handshake: float = 0.5


LIMITS = Limits()


class Target(NamedTuple):
    """A host, and what is to be done there.

    Args:
        connection: the way to it.
        request: for the host side, as JSON.
        install_python: give the host a python3 when it has none.
        after: name of a host that has to be finished before, and reached: the way leads through it.
        behind: names of hosts that have to be finished before, however that went.
        foreseen: what to say when the host is a container that is not there; None makes that an error.
    """

    connection: Connection
    request: bytes
    install_python: bool = False
    after: str | None = None
    behind: tuple[str, ...] = ()
    foreseen: Callable[[Finding], list[Event]] | None = None

    @property
    def host(self) -> str:
        """Name of the host."""
        return self.connection.host


class Outcome(NamedTuple):
    """What has become of a host.

    Args:
        host: name of the host.
        status: `ok`: the host side said so. `failed`: it could not do everything. `unreachable`: it could not
            be started, or was lost. `cancelled`: by the user.
        executions: commands that were executed on the host.
        sent: bytes that were put on their standard inputs.
    """

    host: str
    status: Status
    executions: int
    sent: int


class _Verdict(Enum):
    LATE = "no first word in time"
    SILENT = "no sign of life"
    PASSWORD = "wrong password"


class Session:
    """Carries one request to one host.

    Args:
        target: the host and its request.
        archive: the host side, for hosts that lack it.
        on_event: called with each event, in the order in which the host sent them. The last one is `Done`,
            `Error` or `Unreachable`.
        handshakes: held while a connection is being made.
        password: for sudo, when it asks.
        limits: see `Limits`.
    """

    def __init__(
        self,
        target: Target,
        archive: Archive,
        on_event: OnEvent,
        handshakes: asyncio.Semaphore,
        password: str | None = None,
        limits: Limits = LIMITS,
    ) -> None:
        self.target = target
        self.archive = archive
        self.on_event = on_event
        self.handshakes = handshakes
        self.password = password
        self.limits = limits
        self.executions = 0
        self.sent = 0
        self.done: Done | None = None
        self.failed = False
        self.cancelled = False
        self.abandoned = False
        self._execution: _Execution | None = None

    async def run(self) -> Outcome:
        """Do it, and return how it went. Raises nothing that a host could cause."""
        connection = self.target.connection
        try:
            kept = connection.kept()
            execution = await self._execute(self.limits.kept if kept else self.limits.connect)
            if kept and not execution.reached and not self.cancelled:
                connection.forget()
                execution = await self._execute(self.limits.connect)
            if not execution.reached and not self.cancelled:
                telling = connection.telling(execution.stderr.decode("utf-8", "replace"))
                if telling is not None:
                    execution = await self._execute(self.limits.connect, connection=telling)
            if execution.no_python and self.target.install_python and not self.cancelled:
                execution = await self._execute(self.limits.connect, install_python=True)
        except OSError as error:
            if isinstance(error, FileNotFoundError) and error.filename:
                why = f"the program {error.filename} is not on this machine"
                return self._unreachable(fault("missing-program", why, "install it, or correct PATH"))
            problem = f"{error.filename}: {error.strerror}" if error.filename else str(error)
            return self._unreachable(fault("host-failed", f"the connection cannot be started: {problem}"))
        return self._conclude(execution)

    def cancel(self) -> None:
        """Tell the host that nobody waits for it any more; it may still say what it has done."""
        self.cancelled = True
        if self._execution:
            self._execution.cancel()

    def end(self) -> None:
        """Wait for the host no longer."""
        self.cancelled = self.abandoned = True
        if self._execution:
            self._execution.process.end()

    async def _execute(
        self, limit: float, install_python: bool = False, connection: Connection | None = None
    ) -> _Execution:
        connection = connection or self.target.connection
        permit = None
        if not connection.kept():
            await self.handshakes.acquire()
            permit = _Permit(self.handshakes, self.limits.handshake)
        try:
            self._execution = _Execution(self, connection, permit, limit, install_python)
            if self.cancelled:
                self._execution.cancel()
            await self._execution.wait()
            return self._execution
        finally:
            if permit:
                permit.release()

    def _conclude(self, execution: _Execution) -> Outcome:
        if self.done:
            if self.done.ok and not self.failed:
                return self._outcome("ok")
            return self._outcome("cancelled" if self.cancelled else "failed")
        if self.cancelled:
            if not self.failed:
                hint = _UNATTENDED if execution.begun and self.abandoned else None
                log = execution.log()
                finding = Finding(code="run-cancelled", message="cancelled", hint=hint, log=log)
                self.on_event(Error(host=self.target.host, finding=finding))
            return self._outcome("cancelled")
        if self.failed:
            return self._outcome("failed")
        if execution.no_python:
            python = self.target.connection.python
            hint = (
                "`provision apply` installs it by apt where it can become root"
                if python == "python3"
                else "correct `python:` of this host"
            )
            finding = fault("missing-python", f"there is no {python} on the host", hint)
            self.on_event(Error(host=self.target.host, finding=finding))
            return self._outcome("failed")
        return self._unreachable(execution.explain(), execution)

    def _unreachable(self, why: Finding, execution: _Execution | None = None) -> Outcome:
        if why.code in ABSENT and self.target.foreseen:
            for event in self.target.foreseen(why):
                self.on_event(event)
            return self._outcome("ok")
        self.on_event(
            Unreachable(
                host=self.target.host,
                finding=why.replace(log=execution.log() if execution else []),
                begun=execution.begun if execution else False,
                executions=self.executions,
                sent=self.sent,
            )
        )
        return self._outcome("unreachable")

    def _outcome(self, status: Status) -> Outcome:
        return Outcome(self.target.host, status, self.executions, self.sent)


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


class _Permit:
    """Leave to load this machine with a handshake, given back once, and by itself after a while."""

    def __init__(self, semaphore: asyncio.Semaphore, seconds: float) -> None:
        self._semaphore: asyncio.Semaphore | None = semaphore
        self._timer = asyncio.get_running_loop().call_later(seconds, self.release)

    def release(self) -> None:
        if self._semaphore:
            self._semaphore.release()
            self._semaphore = None
            self._timer.cancel()


class _Execution:
    """One command on the host, and how far it has come."""

    def __init__(
        self,
        session: Session,
        connection: Connection,
        permit: _Permit | None,
        limit: float,
        install_python: bool,
    ) -> None:
        self.session = session
        self.connection = connection
        self.limits = session.limits
        self.permit = permit
        self.limit = limit
        self.installing = install_python
        self.reached = False
        self.begun = False
        self.no_python = False
        self.version = "an unknown version"
        self.pid = 0
        self.killed = 0
        self.verdict: _Verdict | None = None
        self.code = 0
        self.noise: deque[str] = deque(maxlen=_NOISE_LINES)
        self.stderr = bytearray()
        self._line = bytearray()
        self._asked = 0
        self._loop = asyncio.get_running_loop()
        self._started = self._heard = self._loop.time()
        script = bootstrap.script(self.connection, install_python)
        argv = self.connection.argv(script, limit)
        self.program = os.path.basename(argv[0])
        self.process = Process(argv, self._output, self._error)
        self._watch = self._loop.call_later(limit, self._check)
        # A sudo that may ask for a password would take the request for it.
        if not self.connection.asks_password:
            self._send_request()

    async def wait(self) -> None:
        """Wait for the process to end."""
        try:
            self.code = await self.process.wait()
        finally:
            self._watch.cancel()
            self.process.end()
        if self._line:
            self._take(bytes(self._line))

    def cancel(self) -> None:
        """Close the host's standard input, which tells it; there is no one to tell before it is reached."""
        if self.reached:
            self.process.abandon_input()
        else:
            self.process.end()

    # -- what comes back ----------------------------------------------------------------------------------

    def _output(self, data: bytes) -> None:
        self._heard = self._loop.time()
        self._line += data
        if b"\n" not in data:
            if len(self._line) > _LINE_BYTES:
                self._noise(bytes(self._line[:200]))
                self._line.clear()
            return
        *lines, rest = bytes(self._line).split(b"\n")
        self._line = bytearray(rest)
        for line in lines:
            self._take(line)

    def _take(self, line: bytes) -> None:
        if not line.startswith(_EVENT):
            self._noise(line)
        elif line == bootstrap.REACHED:
            self.reached = True
            self.session.executions += 1
            if self.permit:
                self.permit.release()
        elif line == bootstrap.READY:
            self._send_request()
        elif line == bootstrap.NO_PYTHON:
            self.no_python = True
        elif killed := _KILLED.fullmatch(line):
            self.killed = int(killed.group(1)) - _SIGNALLED
        else:
            self._event(line)

    def _noise(self, line: bytes) -> None:
        text = visible(line.decode("utf-8", "replace").strip())
        if text:
            self.noise.append(text[:500])

    def _event(self, line: bytes) -> None:
        host = self.session.target.host
        try:
            data = json.loads(line)
            if data["event"] == "need":
                self._send(bootstrap.delivery(self.session.archive.data))
                return
            if data["event"] == Hello.NAME:
                self.version = str(data.get("provision"))
            event = read(data, host)
        except Mismatch as error:
            self._unrecognized(str(error))
            return
        except ValueError:
            self._noise(line)
            return
        if isinstance(event, Heartbeat):
            return
        if isinstance(event, Hello):
            self.begun = True
            self.pid = event.pid
            if self.installing:
                seconds = round(self._loop.time() - self._started, 3)
                self.session.on_event(Bootstrapped(host=host, python=event.python, seconds=seconds))
        elif isinstance(event, Error):
            self.session.failed = True
        elif isinstance(event, Done):
            event.executions, event.sent = self.session.executions, self.session.sent
            self.session.done = event
            self.process.close_input()
            self._watch.cancel()
            self._watch = self._loop.call_later(self.limits.ending, self.process.end)
        self.session.on_event(event)

    def _unrecognized(self, why: str) -> None:
        """Fail, once: what the host says after that may be about anything."""
        if not self.session.failed:
            versions = f"provision {__version__} here, {visible(self.version)} there"
            message = f"unrecognized message from host: {visible(why)} ({versions})"
            self.session.failed = True
            self.session.on_event(
                Error(host=self.session.target.host, finding=fault("unrecognized-message", message))
            )

    def _error(self, data: bytes) -> None:
        self.stderr += data
        prompts = self.stderr.count(PROMPT.encode())
        if prompts:
            self._heard = self._loop.time()
            # It is taken out: the next one is another question, and nobody needs to read it.
            self.stderr = self.stderr.replace(PROMPT.encode(), b"")
            self._asked += prompts
            if self._asked == 1 and self.session.password is not None:
                # Not by _send: how long a password is, is nobody's business.
                self.process.write(self.session.password.encode() + b"\n")
            else:
                self.verdict = _Verdict.PASSWORD
                self.process.end()
        if len(self.stderr) > 2 * _STDERR_BYTES:
            del self.stderr[:-_STDERR_BYTES]

    # -- what is sent -------------------------------------------------------------------------------------

    def _send_request(self) -> None:
        self._send(bootstrap.message(self.session.archive.name, self.session.target.request))

    def _send(self, data: bytes) -> None:
        self.session.sent += len(data)
        self.process.write(data)

    # -- how it ends --------------------------------------------------------------------------------------

    def _check(self) -> None:
        deadline = self._heard + self.limits.silence if self.reached else self._started + self.limit
        if self._loop.time() < deadline:
            self._watch = self._loop.call_at(deadline, self._check)
            return
        self.verdict = _Verdict.SILENT if self.reached else _Verdict.LATE
        self.process.end()

    def log(self) -> list[str]:
        """Return the last lines that were no events."""
        lines = [line.rstrip() for line in self._stderr().splitlines() if line.strip()]
        return [*self.noise, *lines][-_LOG_LINES:]

    def _stderr(self) -> str:
        return "\n".join(map(visible, self.stderr.decode("utf-8", "replace").splitlines()))

    def explain(self) -> Finding:
        """Say why there is no result."""
        said = self._stderr()
        if self.verdict is _Verdict.PASSWORD:
            return fault("sudo-password", "sudo did not accept the password")
        if self.verdict is _Verdict.SILENT:
            return fault(
                "host-silent",
                f"no sign of life for {self.limits.silence:g} s: the host hangs, or the connection does",
                "what was done until then stays done; run again to go on",
            )
        if not self.reached:
            if self.verdict is _Verdict.LATE and not said.strip():
                return fault(
                    "host-timeout",
                    f"no answer within {self.limit:g} s",
                    "the address takes connections but does not answer, or the host is overloaded",
                )
            return self.connection.explain(self.code, said if said.strip() else "\n".join(self.noise))
        return self._cut_off(said) or refusal(said) or self._not_started(said)

    def _cut_off(self, said: str) -> Finding | None:
        """Say what has cut off a run that had reached the host; None when nothing has."""
        again = "what was done until then stays done; run again to go on"
        if self.killed:
            name = _signal_name(self.killed)
            if re.search(rf"killed process {self.pid}\b", said, re.IGNORECASE):
                cause = f"the host ran out of memory, and its kernel killed provision's process ({name})"
                return fault("host-killed", cause, f"free some memory there; {again}")
            cause = f"somebody or something on the host killed provision's process there ({name})"
            known = (
                "; when it was for want of memory, `dmesg` on the host says so" if name == "SIGKILL" else ""
            )
            return fault("host-killed", cause, again + known)
        if self.code < 0:
            return fault(
                "connection-lost",
                f"{self.program} on this machine was killed ({_signal_name(-self.code)})",
                again,
            )
        if self.code == _SSH_FAILED:
            reason = last_line(said)
            if reason:
                return fault("connection-lost", f"the connection was lost: {reason}", again)
            also = "it looks the same when all that belongs to the run was killed on the host"
            return fault(
                "connection-lost",
                f"the connection was lost: {self.program} does not say why",
                f"{again}; {also}",
            )
        if self.begun:
            reason = last_line(said) or f"exit code {self.code}"
            return fault(
                "host-killed", f"provision's process on the host ended before it was done: {reason}", again
            )
        return None

    def _not_started(self, said: str) -> Finding:
        if "Unknown option: -I" in said:
            return fault(
                "old-python",
                f"{self.connection.python} is no Python 3",
                "name a Python 3.8 or newer with `python:` of this host",
            )
        reason = last_line(said) or (self.noise[-1] if self.noise else f"exit code {self.code}")
        what = (
            "python3 could not be installed" if self.installing else f"{self.connection.python} did not start"
        )
        return fault("host-failed", f"{what}: {reason}")
