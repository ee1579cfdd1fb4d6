"""When a service that has to stop gets SIGTERM, and when it must not get another.

Many servers finish their requests at the first SIGTERM and drop them at the second. But a server that is
starting may miss the first (vLLM does), and would go on running. So a server that has served gets one
SIGTERM, however often a stop is begun, and one that is still starting gets more.
"""

from __future__ import annotations

import time
from typing import Callable

from provision.host.capture import KILL, TERM
from provision.host.machine import Machine
from provision.host.services import processes
from provision.host.state import marks

AGAIN = 5.0
"""Seconds after which a server that is still starting gets another SIGTERM."""

NEVER = float("inf")


class Terms:
    """The SIGTERMs to the main process of one service.

    Args:
        machine: knows which start was proven, and which one has got SIGTERM.
        service: its name.
        invocation: the life that has to end; None when nothing is known to run.
        listens: tells whether the service holds its port.
    """

    def __init__(
        self, machine: Machine, service: str, invocation: str | None, listens: Callable[[], bool]
    ) -> None:
        self._state = machine.state
        self._service = service
        self._invocation = invocation
        self._listens = listens
        # A stop that was cut off has sent it already.
        told = invocation is not None and marks.told(machine.state, service) == invocation
        self._next = NEVER if told else 0.0

    def due(self) -> bool:
        """Whether SIGTERM has to be sent now."""
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
    """Whether one of a service's processes, as `ours` tells by pid, listens on its port, if it has one."""
    listeners = processes.listeners(port, host) if port else []
    return any(each.pid is not None and ours(each.pid) for each in listeners)


def end(
    find: Callable[[], dict[int, processes.Process]],
    main: int | None,
    terms: Terms,
    patience: float,
    sleep: Callable[[float], None] = time.sleep,
) -> dict[int, processes.Process]:
    """End a service's processes, the main one first so that it can finish its work and tell its workers.

    What is left when it has ended gets SIGTERM; what is left 5 s later, or after `patience`, SIGKILL.

    Args:
        find: returns what is still alive.
        main: pid of the main process, if there is one.
        terms: decides when the main process gets SIGTERM.
        patience: seconds for the main process to end by itself.
        sleep: waits; may raise to give up.

    Returns:
        What is still there 10 s after SIGKILL: other users' processes, or some stuck in the kernel.
    """
    deadline = time.monotonic() + patience
    killed: float | None = None
    led = main is not None
    told = False
    while True:
        left = find()
        now = time.monotonic()
        if not left or (killed is not None and now > killed + 10):
            return left
        leader = left.get(main) if led and main is not None else None
        led = leader is not None
        if not led:
            deadline = min(deadline, now + 5)
        if now >= deadline:
            processes.send(KILL, left.values())
            killed = now if killed is None else killed
        elif leader is None and not told:
            processes.send(TERM, left.values())
            told = True
        elif leader is not None and terms.due():
            terms.send(processes.send, TERM, [leader])
        sleep(0.1)
