"""One command on a host, and how far it has come."""

from __future__ import annotations

import os
import time
from collections import deque
from enum import Enum
from functools import partial
from typing import Any

from provision import __version__
from provision.connect import Connection
from provision.connect.become import PROMPT
from provision.transport import bootstrap, clock
from provision.transport.loop import Slots
from provision.transport.multiplexed import Multiplexed, begin
from provision.transport.reading import parse, read, visible
from provision.transport.streams import Streams
from provision.transport.target import OnEvent, Terms
from provision.wire import plainjson
from provision.wire.events import Done, Error, Heartbeat, Hello, Line, Note, Output, Progress
from provision.wire.finding import fault
from provision.wire.questions import Question
from provision.wire.record import Mismatch
from provision.wire.rollout import Bootstrapped
from provision.wire.survey import Answer

_EVENT = b'{"event":'
_NOISE_LINES = 20
_STDERR_BYTES = 16_384
_LINE_BYTES = 16 << 20
_LOG_LINES = 20

_KEPT_BYTES = 64 << 20
"""Bytes of events that are remembered: all that the resources of a host have to say is far less."""

_LIFE = 1024
"""Bytes of an event that is on its way which are a sign of life: a line may take long on a slow network."""

_MESSAGE = 500
"""Characters of a message about what a host has said."""

_PASSING = (Line, Output, Progress)
"""Events that are shown and forgotten."""

_SIGNALLED = 128
"""What a shell adds to the number of the signal that has killed a program."""


class Verdict(Enum):
    """Why we have ended the command ourselves."""

    LATE = "no first word in time"
    SILENT = "no sign of life"
    PASSWORD = "wrong password"


class Execution:
    """Runs the host side's bootstrap by a connection, and reads what comes back.

    Args:
        host: name of the host.
        connection: the way to it.
        request: for the host side.
        terms: what is the same for all hosts.
        on_event: called with each event.
        limit: seconds until the first word.
        install_python: install python3 first.

    Raises:
        OSError: the command cannot be started.
    """

    def __init__(
        self,
        host: str,
        connection: Connection,
        request: bytes,
        terms: Terms,
        on_event: OnEvent,
        limit: float,
        install_python: bool,
    ) -> None:
        self.host = host
        self.connection = connection
        self.limit = limit
        self.limits = terms.limits
        self.installing = install_python
        self.reached = False
        self.no_python = False
        self.begun = False
        self.failed = False
        self.done: Done | None = None
        self.pid = 0
        self.killed = 0
        self.verdict: Verdict | None = None
        self.code = 0
        self.sent = 0
        self.noise: deque[str] = deque(maxlen=_NOISE_LINES)
        self.stderr = bytearray()
        self._request = request
        self._terms = terms
        self._on_event = on_event
        self._version = "an unknown version"
        self._line = bytearray()
        self._partial = 0
        self._kept = 0
        self._distrusted = False
        self._prompts = 0
        self._handshakes: Slots | None = None
        self._booted = False
        self._loop = terms.loop
        self._started = self._heard = time.monotonic()
        self._begun = time.time()
        self.streams = self._start(bootstrap.script(connection, install_python))
        self._watch = self._loop.later(limit, self._check)
        # A sudo that may ask for a password would take the request for it.
        if not connection.asks_password:
            self._send_request()

    def _start(self, script: str) -> Streams:
        kept = self.connection.multiplexed(script)
        if kept:
            self.program = "ssh"
            try:
                begun = self._terms.ahead.take(kept)
                self._booted = begun is not None
                return Multiplexed(self._loop, begun or begin(*kept), self._output, self._error)
            except OSError:
                self.connection.forget()  # its ssh has ended without removing the socket
        # Here, as a run over kept connections alone starts no process.
        from provision.transport.process import Process

        argv = self.connection.argv(script, self.limit)
        self.program = os.path.basename(argv[0])
        return Process(self._loop, argv, self._output, self._error)

    async def wait(self, handshakes: Slots | None) -> None:
        """Wait for the process to end; give `handshakes` back once it is connected, or takes long."""
        self._handshakes = handshakes
        timer = self._loop.later(self.limits.handshake, self._connected)
        try:
            self.code = await self.streams.wait()
        finally:
            timer.cancel()
            self._connected()
            self._watch.cancel()
            self.streams.end()
        if self._line:
            self._take(bytes(self._line))

    def cancel(self) -> None:
        """Close the host's standard input, which tells it; there is no one to tell before it is reached."""
        if self.reached:
            self.streams.abandon_input()
        else:
            self.streams.end()

    def prod(self) -> None:
        """Give the host side a sign of life: a connection that swallows packets ends only after minutes."""
        if self.begun and not self.done:
            self._send(b"\n")

    def said(self) -> str:
        """Return what it has printed on standard error."""
        return "\n".join(map(visible, self.stderr.decode("utf-8", "replace").splitlines()))

    def log(self) -> list[str]:
        """Return the last lines that were no events."""
        lines = [line.rstrip() for line in self.said().splitlines() if line.strip()]
        return [*self.noise, *lines][-_LOG_LINES:]

    # -- what comes back ----------------------------------------------------------------------------------

    def _output(self, data: bytes) -> None:
        if self._distrusted:
            return
        self._line += data
        if b"\n" not in data:
            if len(self._line) > _LINE_BYTES:
                if self._line.startswith(_EVENT):
                    self._distrust("a line without an end", self._version)
                self._noise(bytes(self._line[:200]))
                self._line.clear()
                self._partial = 0
            elif len(self._line) >= self._partial + _LIFE and self._line.startswith(_EVENT):
                self._heard = time.monotonic()
                self._partial = len(self._line)
            return
        *lines, rest = bytes(self._line).split(b"\n")
        self._line = bytearray(rest)
        self._partial = 0
        for line in lines:
            self._take(line)

    def _take(self, line: bytes) -> None:
        if self._distrusted:
            return
        if not line.startswith(_EVENT):
            self._noise(line)
            return
        self._heard = time.monotonic()
        if line == bootstrap.REACHED:
            self.reached = True
            self._connected()
        elif line == bootstrap.READY:
            self._send_request()
        elif line == bootstrap.NO_PYTHON:
            self.no_python = True
        elif line == bootstrap.NEED:
            self._send(bootstrap.delivery(self._terms.archive.data))
        elif line.startswith(bootstrap.KILLED) and (code := line[len(bootstrap.KILLED) : -1]).isdigit():
            self.killed = int(code) - _SIGNALLED
        else:
            self._event(line)

    def _noise(self, line: bytes) -> None:
        text = visible(line.decode("utf-8", "replace").strip())
        if text:
            self.noise.append(text[:500])

    def _event(self, line: bytes) -> None:
        try:
            event = read(line, self.host)
        except Mismatch as error:
            self._unrecognized(str(error), parse(line))
            return
        except ValueError:
            self._noise(line)
            return
        if isinstance(event, Heartbeat):
            return
        if not isinstance(event, _PASSING):
            self._kept += len(line)
        if self._kept > _KEPT_BYTES:
            self._distrust("it has said too much", self._version)
            return
        if isinstance(event, Hello):
            self.begun = True
            self.pid = event.pid
            self._version = event.provision
            if self.installing:
                seconds = round(time.monotonic() - self._started, 3)
                self._on_event(Bootstrapped(host=self.host, python=event.python, seconds=seconds))
            wrong = clock.finding(clock.skew(event.now, self._begun, time.time()))
            if wrong:
                self._on_event(Note(host=self.host, finding=wrong))
        elif isinstance(event, Error):
            self.failed = True
        elif isinstance(event, Done):
            self.done = event
            self.streams.close_input()
            self._watch.cancel()
            self._watch = self._loop.later(self.limits.ending, self.streams.end)
        self._on_event(event)
        if isinstance(event, Question) and event.waits:
            self._terms.on_question(event, partial(self._answer, event.number))

    def _unrecognized(self, why: str, data: dict[str, Any]) -> None:
        self._distrust(why, data.get("provision") if data["event"] == Hello.NAME else self._version)

    def _distrust(self, why: str, version: object) -> None:
        """Fail, and listen no more: what the host says after that may be about anything."""
        self._distrusted = True
        if not self.failed:
            self.failed = True
            versions = f"provision {__version__} here, {version} there"
            message = f"unrecognized message from host: {why[:_MESSAGE]} ({versions[:_MESSAGE]})"
            self._on_event(Error(host=self.host, finding=fault("unrecognized-message", message)))
        self.streams.abandon_input()
        self._watch.cancel()
        self._watch = self._loop.later(self.limits.ending, self.streams.end)

    def _error(self, data: bytes) -> None:
        self.stderr += data
        prompts = self.stderr.count(PROMPT.encode())
        if prompts:
            self._heard = time.monotonic()
            # It is taken out: the next one is another question, and nobody needs to read it.
            self.stderr = self.stderr.replace(PROMPT.encode(), b"")
            self._prompts += prompts
            if self._prompts == 1 and self._terms.password is not None:
                # Not by _send: how long a password is, is nobody's business.
                self.streams.write(self._terms.password.encode() + b"\n")
            else:
                self.verdict = Verdict.PASSWORD
                self.streams.end()
        if len(self.stderr) > 2 * _STDERR_BYTES:
            del self.stderr[:-_STDERR_BYTES]

    # -- what is sent -------------------------------------------------------------------------------------

    def _send_request(self) -> None:
        message = bootstrap.message(self._terms.archive.name, self._request)
        if self._booted:
            self.sent += len(bootstrap.BOOT)
            self._send(message)
        else:
            self._send(bootstrap.BOOT + message)

    def _answer(self, number: int, answer: Answer) -> None:
        said = answer.replace(number=number)
        self._send(plainjson.dumps(said.plain()).encode("utf-8", "replace") + b"\n")

    def _send(self, data: bytes) -> None:
        self.sent += len(data)
        self.streams.write(data)

    # -- what is bounded ----------------------------------------------------------------------------------

    def _connected(self) -> None:
        """Let another connection be made."""
        if self._handshakes:
            self._handshakes.release()
            self._handshakes = None

    def _check(self) -> None:
        """End it when nothing was heard for too long."""
        deadline = self._heard + self.limits.silence if self.reached else self._started + self.limit
        if time.monotonic() < deadline:
            self._watch = self._loop.later(deadline - time.monotonic(), self._check)
            return
        self.verdict = Verdict.SILENT if self.reached else Verdict.LATE
        self.streams.end()
