"""What is known of services that leave the rotation of gateways, and come back."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import field
from typing import TYPE_CHECKING

from provision.dataclass import dataclass
from provision.wire.survey import Answer

if TYPE_CHECKING:
    from provision.fleet.gateways import Gateway
    from provision.wire import questions
    from provision.wire.finding import Finding

Send = Callable[[Answer], None]


@dataclass(eq=False)
class Held:
    """What is known of one server at one gateway.

    Args:
        gateway: which.
        seen: how the servers of the service were when it was asked.
        out: the server is out of rotation.
        send: answers the question on which the gateway's host waits.
        wrong: why it does not go on.
        absent: no gateway can be there yet.
        ended: nothing follows.
    """

    gateway: Gateway
    seen: questions.Rotation | None = None
    out: questions.Out | None = None
    send: Send | None = None
    wrong: Finding | None = None
    absent: bool = False
    ended: bool = False

    @property
    def looked(self) -> bool:
        """Whether it is known how the servers are, or that it will not be known."""
        return self.seen is not None or self.ended

    @property
    def settled(self) -> bool:
        """Whether the server is out, or need not be, or will not be."""
        return self.out is not None or self.ended

    def answer(self, go: bool) -> None:
        """Let the gateway's host go on (at the end: put the server back), or leave it to itself."""
        if self.send and not self.ended:
            send, self.send = self.send, None
            send(Answer(go=go))


@dataclass(eq=False)
class Departure:
    """A service of one host that leaves, is out, and comes back.

    Args:
        host: its host.
        service: its name.
        ends: it does not come back.
        send: answers the question on which its host waits.
        holds: one for each gateway in front of it.
        admitted: it was decided that it may leave.
        refused: it must not leave, and gateways keep it.
        coming: it is to be put back.
        notes: what is to be told by gateway.
    """

    host: str
    service: str
    ends: bool
    send: Send | None
    holds: list[Held] = field(default_factory=list)
    admitted: bool = False
    refused: bool = False
    coming: bool = False
    notes: dict[Held, Finding] = field(default_factory=dict)

    def answer(self, wrong: Finding | None = None, ignored: Iterable[Finding] = ()) -> None:
        """Let its host go on, or tell it why not."""
        if self.send:
            send, self.send = self.send, None
            send(Answer(go=wrong is None, findings=[wrong] if wrong else list(ignored)))

    def answers(self, question: questions.Return) -> bool:
        """Whether a question is about it."""
        return (self.host, self.service) == (question.host, question.service)
