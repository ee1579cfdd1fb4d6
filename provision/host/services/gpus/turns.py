"""How an apply deals with the turns on GPUs that start scripts take (see `gpu_turn`)."""

from __future__ import annotations

import os
import socket
import time
from contextlib import contextmanager
from typing import Callable, Iterator, Sequence

from provision.host.machine import Machine
from provision.host.services import processes
from provision.host.services.gpus import gpu_turn

TELL = 5.0
"""Seconds between two messages about the same wait."""

_PROGRAM = "gpu_turn.py"

_SHELLS = ("sh", "dash", "bash")

_YOUNG = 2.0
"""Seconds after which a start script has surely asked for its turn."""


def waits(main: int | None) -> bool:
    """Whether a service's main process is still its start script, which waits for its turn."""
    if main is None or os.path.basename(processes.arguments(main)[0]) not in _SHELLS:
        return False
    children = [each.pid for each in processes.table().values() if each.parent == main]
    if any(word.endswith(_PROGRAM) for pid in children for word in processes.arguments(pid)):
        return True
    age = processes.uptime(main)
    return age is not None and age < _YOUNG


def what(service: str, cards: Sequence[str]) -> str:
    """Return what a service waits for, in words."""
    for card in gpu_turn.identified(cards):
        who = gpu_turn.starting(card)
        if who is not None and who != service:
            return gpu_turn.said(card, who)
    return "its turn on the GPU"


class Wait:
    """Tells now and then that resource `id` waits for a turn of its service on some GPUs."""

    def __init__(self, machine: Machine, id: str, service: str, cards: Sequence[str]) -> None:
        self._machine = machine
        self._id = id
        self._service = service
        self._cards = cards
        self._begun = time.monotonic()
        self._told = self._begun - TELL + 1  # a short wait is not told

    def tell(self) -> float:
        """Tell the reason of the wait, at most every `TELL` seconds; return how long it has lasted."""
        now = time.monotonic()
        if now - self._told >= TELL:
            self._told = now
            self._machine.waiting(self._id, what(self._service, self._cards), now - self._begun)
        return now - self._begun


@contextmanager
def kept(machine: Machine, id: str, service: str, cards: Sequence[str]) -> Iterator[None]:
    """Keep others from starting on these GPUs meanwhile, after waiting for those that are starting there now.

    This is for the stop of a server: another one that measures the GPU just then would count the memory that
    the stop gives back. A start of the service itself that is still under way is not waited for.
    """
    turns: list[socket.socket] = []
    wait = Wait(machine, id, service, cards)
    try:
        for card in gpu_turn.identified(cards):
            turn = gpu_turn.claim(card)
            while turn is None and gpu_turn.starting(card) != service and wait.tell() < gpu_turn.WAIT:
                machine.sleep(gpu_turn.LOOK)
                turn = gpu_turn.claim(card)
            if turn is not None:
                turns.append(turn)
        yield
    finally:
        for turn in turns:
            turn.close()


def await_turn(
    machine: Machine, id: str, service: str, cards: Sequence[str], main: Callable[[], int | None]
) -> None:
    """Wait until the start script of a service, whose pid `main` returns, has its turn, or has ended."""
    wait = Wait(machine, id, service, cards)
    while waits(main()):
        wait.tell()
        machine.sleep(gpu_turn.LOOK)
