"""Says what to change when a log tells of a known failure.

This is done on the host: it reads far more of a log than is sent, and asks who holds the memory of the GPUs.
Every pattern is tried on every service, as any engine may run in a container, or as a program.
"""

from __future__ import annotations

import re
from typing import Iterable, NamedTuple

from provision.host.services.failures.known import funasr, haproxy, nodes, system, vllm
from provision.host.services.failures.known.known import Known, find
from provision.host.services.failures.root_cause import first_failure
from provision.host.services.gpus import leftovers, memory

KNOWN = (*nodes.KNOWN, *vllm.KNOWN, *funasr.KNOWN, *haproxy.KNOWN, *system.KNOWN, *vllm.LAST)
"""In this order the first that is found in a log explains it: the particular before the general."""


class Explained(NamedTuple):
    """What a log tells: the code of the failure, and one sentence saying what to change, if that is known."""

    code: str
    hint: str | None


def explain(log: Iterable[str], service: str | None = None) -> Explained | None:
    """Return what to change, when a log tells of a known failure; otherwise None.

    The lines of the cause count before the rest of the log: what follows from it has words of its own.

    Args:
        log: lines of a service's log, of one start.
        service: the service itself, which is not named among those that hold memory of the GPUs.
    """
    whole = list(log)
    for lines in (first_failure(whole), whole):
        found = find(KNOWN, "\n".join(lines))
        if found is not None:
            return Explained(found[0].code, _advice(*found, "\n".join(whole), service))
    return None


def _advice(known: Known, found: re.Match[str], log: str, service: str | None) -> str:
    if callable(known.advice):
        advice = known.advice(found, log)
    else:
        advice = known.advice.format(*[(group or "").strip() for group in found.groups()])
    if known.code != "gpu-memory":
        return advice
    holders = [
        each for each in memory.holders() or () if not service or memory.service_of(each.pid) != service
    ]
    if holders:
        advice += "; now held by " + ", ".join(str(each) for each in holders[:4])
    dead = [str(each.pid) for each in leftovers.among(holders)]
    if dead:
        advice += f"; pid {', '.join(dead)}: left over by a server that has ended; --end-left-over ends it"
    return advice
