"""What has to be done because something else changes: restarts, proofs, and commands that follow changes."""

from __future__ import annotations

from typing import Dict, Mapping, Sequence

from provision.host.item import Item
from provision.host.machine import Machine
from provision.host.resource import Changes
from provision.host.services import figures
from provision.wire import events
from provision.wire.requests import Stake

Items = Dict[str, Item]


def foresee(machine: Machine, items: Items, fronted: Mapping[str, Sequence[str]]) -> None:
    """Add to what differs the restarts and runs that the changes of other resources lead to.

    Args:
        machine: this one.
        items: all of the run.
        fronted: the services that gateways pass requests to, each with these gateways.
    """
    _foresee_restarts(machine, items, fronted)
    _foresee_commands(items)


def _foresee_restarts(machine: Machine, items: Items, fronted: Mapping[str, Sequence[str]]) -> None:
    """Add the restart of a service when something that it has read will change."""
    for service, because in reasons(machine, items).items():
        for item in items.values():
            if item.service == service and item.resource.role:
                item.changes = {**item.changes, **item.resource.due}
                item.resource.because = because
        if runs(items, service):
            learned = figures.kept(machine.state, service)
            reload = any(
                item.service == service and item.resource.reloads(because) for item in items.values()
            )
            nodes = [
                name for item in items.values() if item.service == service for name in item.resource.nodes()
            ]
            restart = events.Restart(service=service, because=because, reload=reload, nodes=nodes)
            if not reload:
                restart.figures, restart.drained = learned, list(fronted.get(service, ()))
            machine.emit(restart)


def _foresee_commands(items: Items) -> None:
    """Add the run of a command when something that it follows will change."""
    for item in items.values():
        if item.changes and not item.error:
            for id, because in followed(item, item.changes):
                follower = items.get(id)
                if follower is not None and not follower.error:
                    follower.resource.because.append(because)
                    follower.changes = {**follower.changes, **follower.resource.due}


def reasons(machine: Machine, items: Items) -> dict[str, list[str]]:
    """Return the services that change, each with the ids of what it changes because of."""
    because: dict[str, list[str]] = {}
    for item in items.values():
        if item.runs and item.service:
            changed = item.resource.owing(machine)
            if changed is not None:
                because.setdefault(item.service, []).extend(changed)
    for item in items.values():
        if item.changes and not item.error and item.resource.restarts(item.changes):
            for service in item.triggers:
                known = because.setdefault(service, [])
                if item.id not in known:
                    known.append(item.id)
    _follow(items, because)
    return because


def _follow(items: Items, because: dict[str, list[str]]) -> None:
    """Add the services that cannot run without one that restarts."""
    leads = [item for item in items.values() if item.runs and item.service and item.triggers]
    new = True
    while new:
        new = False
        for item in leads:
            for service in item.triggers if item.service in because else ():
                known = because.setdefault(service, [])
                if item.id not in known:
                    known.append(item.id)
                    new = True


def runs(items: Items, service: str) -> bool:
    """Whether a service runs, so that it is restarted rather than started."""
    return any(item.service == service and item.resource.up(item.actual) for item in items.values())


def starting(items: Items, stakes: Sequence[Stake]) -> list[str]:
    """Return the services of `stakes` that this run starts or restarts, as far as it can be foreseen."""
    named = {stake.service for stake in stakes}
    return [
        item.service
        for item in items.values()
        if item.runs and item.service in named and (item.changes or item.error)
    ]


def followed(item: Item, changes: Changes) -> list[tuple[str, str]]:
    """Return the commands that follow these changes of a resource, each with the reason in words."""
    if not item.followers or not item.resource.disturbs(changes):
        return []
    found = []
    for id, names in item.followers.items():
        parts = [f"package {name}" for name in names if name in changes] if names else [item.label]
        found += [(id, part) for part in parts]
    return found
