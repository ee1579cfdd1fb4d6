"""Says what to change when a log tells of a known failure.

It is done on the host: it reads far more of a log than is sent, and asks who holds the GPUs. Every pattern is
tried on every service, as any engine may run in a container, or as a program.
"""

from __future__ import annotations

import re
from typing import Iterable, NamedTuple

from provision.host.machine import Machine
from provision.host.services.failures.known import funasr, system, vllm
from provision.host.services.failures.known.known import Known
from provision.host.services.failures.root_cause import first_failure
from provision.host.services.gpus import memory

KNOWN = (*vllm.KNOWN, *funasr.KNOWN, *system.KNOWN, *vllm.LAST)
"""In this order the first that is found in a log explains it: the particular before the general."""


class Explained(NamedTuple):
    """What a log tells: the code of the failure, and one sentence saying what to change."""

    code: str
    hint: str


def explain(
    log: Iterable[str], machine: Machine | None = None, service: str | None = None
) -> Explained | None:
    """Return what to change, when a log tells of a known failure; otherwise None.

    The lines of the cause count before the rest of the log: what follows from it has words of its own.

    Args:
        log: lines of a service's log, of one start.
        machine: asked who holds the GPUs' memory, where that matters; None asks nobody.
        service: the service itself, which is none of those that hold memory in its way.
    """
    whole = list(log)
    for text in ("\n".join(first_failure(whole)), "\n".join(whole)):
        for each in KNOWN:
            found = each.pattern.search(text)
            if found is not None:
                hint = _advice(each, found, "\n".join(whole), machine, service)
                return Explained(each.code, hint)
    return None


def _advice(
    known: Known, found: re.Match[str], log: str, machine: Machine | None, service: str | None
) -> str:
    if callable(known.advice):
        advice = known.advice(found, log)
    else:
        advice = known.advice.format(*[(group or "").strip() for group in found.groups()])
    if not known.held or machine is None:
        return advice
    holders = [
        each for each in memory.holders(machine) if not service or memory.service_of(each.pid) != service
    ]
    if holders:
        advice += "; now held by " + ", ".join(str(each) for each in holders[:4])
    dead = [str(each.pid) for each in holders if each.left_over()]
    if dead:
        advice += f"; left over by a server that has ended: `kill {' '.join(dead)}`"
    return advice
