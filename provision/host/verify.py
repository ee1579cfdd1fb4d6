"""Proving that services answer, without changing anything."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

from provision.host.machine import Machine
from provision.host.resources import make, probe
from provision.wire import events


def verify(machine: Machine, request: dict[str, Any]) -> events.Done:
    """Carry out the verb `verify`: run every check of every probe in the request."""
    probes = [make(entry) for entry in request["resources"] if entry["type"] == "probe"]
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda each: probe.run_checks(machine, each.spec), probes))
    passed = sum(1 for answer in answers if answer)
    return events.Done(ok=passed == len(probes), counts={"passed": passed, "failed": len(probes) - passed})
