"""Requests of the tests, made as the controller makes them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from provision.host.machine import Machine
from provision.host.removal import remove
from provision.host.runner import converge
from provision.wire import VERSION
from provision.wire.events import Done
from provision.wire.requests import Converging, Remove, Request, Service


def request(
    verb: str,
    resources: Iterable[Mapping[str, Any]] = (),
    services: Iterable[Service] = (),
    state: str = "/nowhere",
    digest: str | None = None,
    **options: Any,
) -> Request:
    """Return a request; what its resources and `options` leave out is as when nobody asks for more."""
    entries = [
        {
            "label": each["id"],
            "needs": [],
            "triggers": [],
            "followers": {},
            "playbooks": ["box"],
            "service": None,
            **each,
        }
        for each in resources
    ]
    looking = {"playbooks": ["box"], "partial": False, "deep": False}
    verbs: dict[str, dict[str, Any]] = {
        "inspect": looking,
        "apply": {**looking, "prune": False, "verify": False, "rollback": True},
        "verify": {},
        "status": {},
        "remove": {"playbooks": ["box"], "names": None},
    }
    return Request.parse(
        {
            "version": "0",
            "wire": VERSION,
            "host": "here",
            "state": state,
            "who": "a test",
            "asked": {"verb": verb, **verbs.get(verb, {}), **options},
            "resources": entries,
            "services": [service.plain() for service in services],
            "digest": digest,
        }
    )


def carry_out(
    machine: Machine, verb: str, resources: Iterable[Mapping[str, Any]] = (), **options: Any
) -> Done:
    """Inspect, apply or remove, and return how it ended."""
    made = request(verb, resources, **options)
    if isinstance(made.asked, Remove):
        return remove(machine, made, made.asked)
    assert isinstance(made.asked, Converging)
    return converge(machine, made, made.asked)
