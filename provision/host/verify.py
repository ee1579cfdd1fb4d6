"""Proving that services answer, without changing anything."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from provision.host.machine import Machine
from provision.host.resource import Resource
from provision.host.resources import make
from provision.host.state import marks
from provision.wire import events
from provision.wire.requests import Entry, Verify

LATE = 30.0
"""Seconds in which a late check may fail: all that it asks is up, and only has to be noticed."""


def verify(machine: Machine, entries: list[Entry], asked: Verify) -> events.Done:
    """Carry out the verb `verify`: run every check of these probes.

    What is asked late waits for what has only just come up on another host: a gateway looks at its servers
    every few seconds.
    """
    probes = [make(entry.id, entry.type, entry.spec) for entry in entries]

    def prove(probe: Resource) -> bool:
        return probe.prove(machine, min(probe.spec.timeout, LATE) if asked.late else 0.0)

    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(prove, probes))
    for each, answer in zip(probes, answers):
        if asked.late and not answer:
            marks.doubt(machine.state, each.spec.service)
    passed = sum(1 for answer in answers if answer)
    return events.Done(ok=passed == len(probes), counts={"passed": passed, "failed": len(probes) - passed})
