"""Workers of a vLLM server that has ended: they keep the memory of their GPUs, and nothing stops them.

vLLM names its processes `VLLM::EngineCore` and `VLLM::Worker_TP0`: children of the server, and of each other
(`vllm/v1/engine/utils.py`, `vllm/v1/executor/multiproc_executor.py`). One that belongs to the first process
of the machine instead, or to a user's systemd, has outlived its server.
"""

from __future__ import annotations

import re
import time
from typing import Sequence

from provision.host.capture import KILL, TERM
from provision.host.machine import Machine
from provision.host.services import processes
from provision.host.services.gpus import memory
from provision.host.services.gpus.memory import Holder
from provision.host.services.processes import Process

WORKER = re.compile(r"VLLM::(EngineCore|Worker|DPCoordinator)")

SERVERS = re.compile(r"python|pypy|vllm|ray|pt_main_thread", re.IGNORECASE)
"""Programs that run a vLLM server; as the first process of a container, such a one is a parent of workers."""

PATIENCE = 5.0
"""Seconds between SIGTERM and SIGKILL, and then for the kernel to take the memory back."""


def among(holders: Sequence[Holder]) -> list[Holder]:
    """Return those that are surely left over."""
    named = [holder for holder in holders if WORKER.match(holder.name)]
    there = processes.table() if named else {}
    return [holder for holder in named if _outlived(_line(holder.pid, there), there)]


def end(machine: Machine, pids: Sequence[int]) -> None:
    """End left-over workers by SIGTERM and then SIGKILL, and tell it.

    Each is looked at again: a pid whose process has ended, or is another one by now, gets no signal.
    """
    there = processes.table()
    lines = [line for pid in pids if _outlived(line := _line(pid, there), there)]
    found = {each.pid: each for line in lines for each in line}
    names = {pid: _title(pid) for pid in found}
    left = list(found.values())
    for signal in (TERM, KILL):
        processes.send(signal, left)
        left = _after(machine, left)
    stuck = {each.pid for each in left}
    for pid, name in names.items():
        what = f"{name} (pid {pid}), left over by a server that has ended"
        if pid in stuck:
            machine.note("left-over-stuck", f"{what}, hangs in the kernel and cannot be ended")
        else:
            machine.note("left-over-ended", f"{what}, was ended")


def _title(pid: int) -> str:
    return processes.arguments(pid)[0]


def _line(pid: int, there: dict[int, Process]) -> list[Process]:
    """Return a worker and the workers above it; nothing for a pid that is none here."""
    found = []
    while pid in there and WORKER.match(_title(pid)):
        found.append(there[pid])
        pid = there[pid].parent
    return found


def _outlived(line: Sequence[Process], there: dict[int, Process]) -> bool:
    parent = there.get(line[-1].parent) if line else None
    if parent is None or SERVERS.search(parent.name) or not (parent.pid == 1 or parent.name == "systemd"):
        return False
    service = memory.service_of(line[-1].pid)
    return service is None or not _served(service, there)


def _served(service: str, there: dict[int, Process]) -> bool:
    """Whether something else of its service lives, which ends it or is restarted together with it."""
    return any(memory.service_of(pid) == service for pid in there if not WORKER.match(_title(pid)))


def _after(machine: Machine, told: Sequence[Process]) -> list[Process]:
    """Return which of some processes are still there after `PATIENCE` seconds at most."""
    deadline = time.monotonic() + PATIENCE
    left = list(told)
    while left and time.monotonic() < deadline:
        left = [each for each in left if processes.lives(each)]
        if left:
            machine.sleep(0.1)
    return left
