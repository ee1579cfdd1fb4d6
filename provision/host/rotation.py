"""Taking services of this host out of the rotation of gateways before they are stopped, and back after it."""

from __future__ import annotations

from typing import Mapping, Sequence

from provision.host.failure import Failure
from provision.host.machine import Machine
from provision.host.services.nodes import together
from provision.host.state import overrides
from provision.wire import questions
from provision.wire.events import Work


class InService(Failure):
    """A service is left as it runs, or answers: nothing has to be undone for it."""


class Gateways:
    """The gateways in front of services of this host: the controller speaks with their hosts.

    Args:
        machine: this one.
        fronted: the services that gateways pass requests to.
        who: for whom it is done.
    """

    def __init__(self, machine: Machine, fronted: Mapping[str, Sequence[str]], who: str) -> None:
        self._machine = machine
        self._fronted = fronted
        self._who = who
        self._left: set[str] = set()

    def leave(self, service: str, work: Work | None) -> None:
        """Wait until a service has no requests any more, if it runs and `work` stops it.

        Raises:
            InService: it must not be stopped now.
        """
        if work and (work.restart or work.recreate):
            self.stop(service)

    def stop(self, service: str, ends: bool = False) -> None:
        """Wait until a service that runs has no requests any more; `ends`: it does not come back.

        Raises:
            InService: it must not be stopped now.
        """
        if service not in self._fronted or service in self._left:
            return
        answer = self._machine.ask(questions.Leave(service=service, ends=ends), endless=True)
        if not answer.go:
            raise InService.of(answer.findings[0])
        self._left.add(service)
        if answer.findings:
            overrides.note(self._machine.state, self._who, answer.findings)

    def back(self, service: str, ends: bool = False) -> None:
        """Wait until gateways pass requests to a service again, which has been proven (or, `ends`, stopped).

        Raises:
            InService: a gateway does not do so.
        """
        if service not in self._left:
            return
        self._left.discard(service)
        answer = self._machine.ask(questions.Return(service=service, ends=ends), endless=True)
        if not answer.go:
            raise InService.of(answer.findings[0])

    def back_on_all(self, service: str, nodes: Sequence[str]) -> None:
        """Do the same for a service over several hosts: it is back on all nodes, or has failed on all.

        Args:
            service: its name.
            nodes: the hosts, by rank; empty for a service on one host.

        Raises:
            InService: a gateway does not do so.
        """
        refused: InService | None = None
        try:
            self.back(service)
        except InService as failure:
            refused = failure
        if nodes:
            said = [refused.finding] if refused is not None else []
            answer = together.ask(self._machine, service, nodes, "return", findings=said)
            if refused is None and not answer.go:
                refused = InService.of(answer.findings[0])
        if refused is not None:
            raise refused

    def restored(self, service: str) -> None:
        """Do the same for a service that answers as before; when that fails, it has been told."""
        try:
            self.back(service)
        except InService:
            pass
