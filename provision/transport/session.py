"""One host's part of a run: how often it is tried, and what has become of it in the end."""

from __future__ import annotations

from provision.connect import Connection
from provision.connect.base import ABSENT
from provision.transport.execution import Execution
from provision.transport.loop import Slots
from provision.transport.lost import explain
from provision.transport.target import Status, Target, Terms
from provision.wire.events import Done, Error, Event
from provision.wire.finding import Finding, fault
from provision.wire.rollout import Unreachable

_TRACE = ("Traceback (most recent call last):", '  File "')
"""What Python adds to an error for those who wrote the program."""

_UNATTENDED = (
    "the host was not waited for: it ends its commands within a few seconds by itself, "
    "except those that must not be cut off, such as dpkg"
)


class Session:
    """Carries one request to one host.

    Args:
        target: the host and its request.
        terms: what is the same for all hosts.
        handshakes: held while a connection is being made.
    """

    def __init__(self, target: Target, terms: Terms, handshakes: Slots) -> None:
        self.target = target
        self.terms = terms
        self.handshakes = handshakes
        self.cancelled = False
        self.abandoned = False
        self._tries: list[Execution] = []

    async def run(self) -> Status:
        """Do it, and return how it went. Raises nothing that a host could cause."""
        connection, limits = self.target.connection, self.terms.limits
        try:
            kept = connection.kept()
            last = await self._execute(connection, limits.kept if kept else limits.connect)
            if kept and not last.reached and not self.cancelled:
                connection.forget()
                last = await self._execute(connection, limits.connect)
            if not last.reached and not self.cancelled:
                telling = connection.telling(last.stderr.decode("utf-8", "replace"))
                if telling is not None:
                    last = await self._execute(telling, limits.connect)
            if last.no_python and self.target.install_python and not self.cancelled:
                last = await self._execute(connection, limits.connect, install_python=True)
        except OSError as error:
            if isinstance(error, FileNotFoundError) and error.filename:
                why = f"the program {error.filename} is not on this machine"
                return self._unreachable(fault("missing-program", why, "install it, or correct PATH"))
            problem = f"{error.filename}: {error.strerror}" if error.filename else str(error)
            return self._unreachable(fault("host-failed", f"the connection cannot be started: {problem}"))
        return self._conclude(last)

    def cancel(self) -> None:
        """Tell the host that nobody waits for it any more; it may still say what it has done."""
        self.cancelled = True
        if self._tries:
            self._tries[-1].cancel()

    def prod(self) -> None:
        """Give the host a sign of life."""
        if self._tries and not self.cancelled:
            self._tries[-1].prod()

    def end(self) -> None:
        """Wait for the host no longer."""
        self.cancelled = self.abandoned = True
        if self._tries:
            self._tries[-1].streams.end()

    def leave(self) -> None:
        """Let the host alone, and wait for nothing."""
        self.cancelled = self.abandoned = True
        if self._tries:
            self._tries[-1].streams.leave()

    async def _execute(self, connection: Connection, limit: float, install_python: bool = False) -> Execution:
        handshakes = None if connection.kept() else self.handshakes
        if handshakes:
            await handshakes.acquire()
        try:
            execution = Execution(
                self.target.host,
                connection,
                self.target.request,
                self.terms,
                self._pass_on,
                limit,
                install_python,
            )
        except BaseException:
            if handshakes:
                handshakes.release()
            raise
        self._tries.append(execution)
        if self.cancelled:
            execution.cancel()
        await execution.wait(handshakes)
        return execution

    def _pass_on(self, event: Event) -> None:
        if isinstance(event, Done | Unreachable):
            event.executions = sum(each.reached for each in self._tries)
            event.sent = sum(each.sent for each in self._tries)
        self.terms.on_event(event)

    def _conclude(self, last: Execution) -> Status:
        if last.done:
            if last.done.ok and not last.failed:
                return "ok"
            return "cancelled" if self.cancelled else "failed"
        if self.cancelled:
            if not last.failed:
                hint = _UNATTENDED if last.begun and self.abandoned else None
                self._error(Finding(code="run-cancelled", message="cancelled", hint=hint, log=last.log()))
            return "cancelled"
        if last.failed:
            return "failed"
        if last.no_python:
            python = self.target.connection.python
            hint = (
                "`provision apply` installs it by apt where it can become root"
                if python == "python3"
                else "correct `python:` of this host"
            )
            self._error(fault("missing-python", f"there is no {python} on the host", hint))
            return "failed"
        return self._unreachable(explain(last), last)

    def _error(self, finding: Finding) -> None:
        self._pass_on(Error(host=self.target.host, finding=finding))

    def _unreachable(self, why: Finding, last: Execution | None = None) -> Status:
        if why.code in ABSENT and self.target.foreseen:
            for event in self.target.foreseen(why):
                self._pass_on(event)
            return "ok"
        if last:
            why = why.replace(log=[line for line in last.log() if not line.startswith(_TRACE)])
        self._pass_on(Unreachable(host=self.target.host, finding=why, begun=bool(last and last.begun)))
        return "unreachable"
