"""What the nodes of a service that runs over several hosts ask each other, by way of the controller."""

from __future__ import annotations

from types import TracebackType
from typing import Any, Callable, Sequence

from provision.host import causes
from provision.host.failure import Failure
from provision.host.machine import Machine
from provision.host.state.lock import Left
from provision.wire import questions
from provision.wire.finding import Finding, fault
from provision.wire.requests import Service
from provision.wire.survey import Answer

STEPS = {
    "look": "look at what differs",
    "hold": "be free",
    "choose": "say what to go back to",
    "ready": "say whether they can go back",
    "compare": "come to the change",
    "reach": "try the ways between them",
    "stop": "come to the restart",
    "prove": "be proven",
    "return": "be in rotation again",
    "remove": "come to the removal",
    "back": "say whether they can go back",
}
"""What the other nodes have to do, for people."""


class OthersFailed(Failure):
    """Another node has failed, which the message names."""


def ask(machine: Machine, service: str, nodes: Sequence[str], step: str, **said: Any) -> Answer:
    """Wait until all nodes have come as far as this, or cannot.

    Args:
        machine: this node.
        service: its name.
        nodes: the hosts, by rank.
        step: as far as this one has come.
        said: the other fields of `Meet`.

    Raises:
        Left: another run holds the host of another node, and has to have this one first.
    """
    reason = f"the other nodes of {service} ({', '.join(nodes)}) to {STEPS[step]}"
    answer = machine.ask(_question(service, nodes, step, **said), endless=True, reason=reason)
    if answer.leave:
        raise Left
    return answer


def hold(machine: Machine, services: Sequence[Service]) -> None:
    """Wait until no other run holds a host on which one of these services has a node, too.

    Raises:
        Left: another run does, and has to have this host first.
    """
    for each in sorted(services, key=lambda each: each.service):
        if each.node is not None and not each.node.joins:
            ask(machine, each.service, each.node.names, "hold")


def failed(machine: Machine, service: str, nodes: Sequence[str], finding: Finding) -> None:
    """Tell the other nodes that this one has failed; return when all have ended what they did."""
    if nodes and not machine.cancelled.is_set():
        ask(machine, service, nodes, "prove", findings=[finding])


def gave_up(machine: Machine, service: str, nodes: Sequence[str], finding: Finding) -> None:
    """Tell the other nodes that this one has failed before anything was stopped, and wait for none."""
    if nodes and not machine.cancelled.is_set():
        machine.listen(_question(service, nodes, "prove", findings=[finding]))
        stays_so(machine, service, nodes)


def stays_so(machine: Machine, service: str, nodes: Sequence[str]) -> None:
    """Tell the other nodes that this one does not go back to anything, and wait for none."""
    if nodes and not machine.cancelled.is_set():
        finding = fault("node-failed", "what it runs with now")
        machine.listen(_question(service, nodes, "back", findings=[finding]))


def cannot_go_back(machine: Machine, service: str, nodes: Sequence[str], stuck: bool) -> str | None:
    """Return which nodes cannot go back to what they ran with, in words; None when all can.

    Args:
        machine: this node.
        service: its name.
        nodes: the hosts, by rank; empty for a service on one host.
        stuck: this one cannot.
    """
    if not nodes:
        return None
    said = [fault("node-failed", "what changed in place")] if stuck else []
    answer = ask(machine, service, nodes, "back", findings=said)
    return None if answer.go else answer.findings[0].message


class Proving:
    """The proof of a service on its nodes: it is proven on all of them, or on none.

    Args:
        machine: this node.
        service: its name.
        nodes: the hosts, by rank; empty for a service on one host, which waits for nobody.
    """

    def __init__(self, machine: Machine, service: str, nodes: Sequence[str]) -> None:
        self._machine = machine
        self._service = service
        self._nodes = nodes
        self._heard: Callable[[], Answer | None] = lambda: None

    def __enter__(self) -> Proving:
        """Listen for nodes that fail."""
        if self._nodes:
            self._heard = self._machine.listen(_question(self._service, self._nodes, "watch"))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Tell the others what has failed here, unless they know."""
        if isinstance(error, Exception) and not isinstance(error, OthersFailed):
            failed(self._machine, self._service, self._nodes, causes.explain(error).finding)

    @property
    def broken(self) -> bool:
        """Whether another node has failed, so that this one need not go on."""
        return self._heard() is not None

    def conclude(self) -> None:
        """Wait until all nodes are proven.

        Raises:
            OthersFailed: one of them has failed.
        """
        if self._nodes:
            answer = ask(self._machine, self._service, self._nodes, "prove")
            if not answer.go:
                raise OthersFailed.of(answer.findings[0])


def _question(service: str, nodes: Sequence[str], step: str, **said: Any) -> questions.Meet:
    return questions.Meet(service=service, nodes=list(nodes), step=step, **said)
