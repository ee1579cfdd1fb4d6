"""When a service that is to stop gets SIGTERM, and when it must not get another.

Many servers finish their requests at the first SIGTERM and drop them at the second. But a server that is
starting may miss the first (vLLM does), and would run on. So one that has served gets one SIGTERM, however
often a stop is begun, and one that still starts gets more.
"""

from __future__ import annotations

import time

from provision.host.machine import Machine
from provision.host.services import processes
from provision.host.state import marks

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Callable

AGAIN = 5.0
"""Seconds after which a server that still starts gets another SIGTERM."""

NEVER = float("inf")


class Terms:
    """The SIGTERMs to the main process of one service.

    Args:
        machine: where it runs.
        service: its name.
        invocation: the life that is to end; None when nothing is known to run.
        listens: whether the service holds its port.
    """

    def __init__(
        self, machine: Machine, service: str, invocation: str | None, listens: Callable[[], bool]
    ) -> None:
        self._state = machine.state
        self._service = service
        self._invocation = invocation
        self._listens = listens
        # A stop that was cut off has told it already.
        told = invocation is not None and marks.told(machine.state, service) == invocation
        self._next = NEVER if told else 0.0

    def due(self) -> bool:
        """Whether SIGTERM is to be sent now."""
        return time.monotonic() >= self._next

    def send(self, send: Callable[..., object], *arguments: object) -> None:
        """Send SIGTERM by calling `send` with these arguments, and decide whether it is the last one."""
        served = self._has_served()  # asked first, as a server that drains closes its port
        send(*arguments)
        if served and self._invocation is not None:
            marks.tell(self._state, self._service, self._invocation)
        self._next = NEVER if served else time.monotonic() + AGAIN

    def _has_served(self) -> bool:
        proven = marks.proven(self._state, self._service)
        return (self._invocation is not None and proven == self._invocation) or self._listens()


def listens(port: int | None, host: str | None, ours: Callable[[int], bool]) -> bool:
    """Whether one of a service's processes listens on its port.

    Args:
        port: the port; None when it is not known.
        host: the address that it listens on; None for every one.
        ours: whether the process of a pid belongs to the service.
    """
    return (
        any(each.pid is not None and ours(each.pid) for each in processes.listeners(port, host))
        if port
        else False
    )
