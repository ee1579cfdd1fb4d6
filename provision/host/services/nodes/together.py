"""What the nodes of a service that runs over several hosts ask each other, by way of the controller."""

from __future__ import annotations

from types import TracebackType
from typing import Any, Callable, Sequence

from provision.host import causes
from provision.host.failure import Failure
from provision.host.machine import Machine
from provision.wire import events
from provision.wire.finding import Finding, fault
from provision.wire.survey import Answer


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
    """
    return machine.ask(_question(service, nodes, step, **said), endless=True)


def failed(machine: Machine, service: str, nodes: Sequence[str], finding: Finding) -> None:
    """Tell the other nodes that this one has failed; return when all have ended what they did."""
    if nodes and not machine.cancelled.is_set():
        ask(machine, service, nodes, "prove", findings=[finding])


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


def _question(service: str, nodes: Sequence[str], step: str, **said: Any) -> events.Meet:
    return events.Meet(service=service, nodes=list(nodes), step=step, **said)
