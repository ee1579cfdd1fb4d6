"""What is to be done on a host, and within which limits."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, NamedTuple

from provision.connect import Connection
from provision.connect.base import PATIENCE
from provision.transport.ahead import Ahead
from provision.transport.archive import Archive
from provision.transport.loop import Loop
from provision.wire.events import Event
from provision.wire.finding import Finding
from provision.wire.questions import Question
from provision.wire.survey import Answer

OnEvent = Callable[[Event], None]

OnQuestion = Callable[[Question, Callable[[Answer], None]], None]
"""Gets a question of a host that waits, and what sends the answer, now or later."""

Status = Literal["ok", "failed", "unreachable", "cancelled"]
"""What has become of a host.

`ok`: the host side said so. `failed`: it could not do everything. `unreachable`: it could not be started, or
was lost. `cancelled`: by the user.
"""


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


class Terms(NamedTuple):
    """What is the same for all hosts of a run.

    Args:
        loop: in which it runs.
        archive: the host side, for hosts that lack it.
        ahead: what has been begun on hosts already.
        on_event: called with each event, those of a host in the order in which it sent them. The last one of
            a host is `Done`, `Error` or `Unreachable`.
        on_question: called after `on_event` with each event that a host waits on.
        password: for sudo, when it asks.
        limits: see `Limits`.
    """

    loop: Loop
    archive: Archive
    ahead: Ahead
    on_event: OnEvent
    on_question: OnQuestion
    password: str | None = None
    limits: Limits = LIMITS
