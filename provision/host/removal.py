"""Removing what provision has put on a host, and nothing else."""

from __future__ import annotations

import os
from types import MappingProxyType
from typing import Mapping

from provision.host import causes, rotation
from provision.host.failure import Failure
from provision.host.machine import Machine
from provision.host.resource import PACKAGES
from provision.host.resources import recall, type_of
from provision.host.services.nodes import together
from provision.host.state import backup, ground, marks
from provision.host.state.ledger import Entry, Ledger
from provision.host.state.lock import RunLock, under
from provision.host.state.revisions import Revisions
from provision.wire import events
from provision.wire.events import SERVICE
from provision.wire.nodes import Node
from provision.wire.requests import Remove, Request


def remove(machine: Machine, request: Request, asked: Remove) -> events.Done:
    """Carry out the verb `remove`."""
    if not os.path.isdir(machine.state):
        return events.Done(ok=True, counts={"removed": 0, "kept": 0, "failed": 0})
    if asked.dry:
        ledger = Ledger(machine.state)
        counts = remove_entries(machine, ledger, _entries(ledger, asked), asked.playbooks)
        return events.Done(ok=True, counts=counts)
    lock = RunLock(machine, request.who, "remove", asked.patience)
    counts = under(machine, lock, lambda: _removed(machine, request, asked))
    return events.Done(ok=not counts["failed"], counts=counts)


def _removed(machine: Machine, request: Request, asked: Remove) -> dict[str, int]:
    """Remove it, and return how many resources became what."""
    ledger = Ledger(machine.state)  # as the run has left it that had the lock before
    entries = _entries(ledger, asked)
    leaving = {entry.get("service") for entry in entries.values()}
    together.hold(machine, [each for each in request.services if each.service in leaving])
    gateways = rotation.Gateways(machine, request.fronted, request.who)
    groups = {each.service: each.node for each in request.services if each.node is not None}
    counts = remove_entries(machine, ledger, entries, asked.playbooks, gateways, groups)
    ledger.save()
    if not ledger.entries:
        ground.leave(machine.state)
    return counts


def _entries(ledger: Ledger, asked: Remove) -> dict[str, Entry]:
    return {id: entry for id, entry in ledger.entries.items() if _chosen(entry, asked)}


def remove_entries(
    machine: Machine,
    ledger: Ledger,
    entries: dict[str, Entry],
    playbooks: list[str] | None,
    gateways: rotation.Gateways | None = None,
    groups: Mapping[str, Node] = MappingProxyType({}),
) -> dict[str, int]:
    """Remove the resources of `entries`, each before what it needs; without `gateways`, tell what would go.

    A failure is reported and does not stop the rest; what another playbook still wants stays. The nodes of
    `groups` are stopped together, once the head has no requests any more.
    """
    dry = gateways is None
    counts = {"removed": 0, "kept": 0, "failed": 0}
    for id in in_order(entries):
        entry = entries[id]
        event = events.Removed(id=id, label=entry["label"], planned=dry)
        try:
            event.kept = _kept(entry, playbooks) or _shared(entry, ledger, entries)
            if gateways is not None:
                if event.kept is None:
                    resource = recall(id, entry["type"], entry["spec"])
                    resource.former = ledger.former(id)
                    service = entry.get("service") if resource.role == SERVICE else None
                    if service and resource.running(machine):
                        gateways.stop(service, ends=True)
                    node = groups.get(service) if service else None
                    if service and node is not None and not node.joins:
                        together.ask(machine, service, node.names, "remove")
                    if not resource.remove(machine):
                        event.kept = resource.left(machine)
                    if service:
                        gateways.back(service, ends=True)
                        marks.forget(machine.state, service)
                        backup.forget(machine.state, service)
                        Revisions(machine.state, service).forget()
                ledger.release(id, playbooks)
            counts["removed" if event.kept is None else "kept"] += 1
        except (Failure, OSError) as error:
            event.finding = causes.explain(error).finding
            counts["failed"] += 1
        machine.emit(event)
    return counts


def in_order(entries: dict[str, Entry]) -> list[str]:
    """Return the ids in the order of removal: what needs others comes before them, deep paths first."""

    def key(id: str) -> tuple[int, int, int, str]:
        led = len(entries[id].get("spec", {}).get("follows") or ())  # what it needs goes after it
        return _rank(entries[id]["type"]), -led, -id.count("/"), id

    return sorted(entries, key=key)


def _rank(type: str) -> int:
    try:
        return type_of(type).removal
    except Failure:
        return PACKAGES  # a type of another version: its removal then fails, and says so


def _chosen(entry: Entry, asked: Remove) -> bool:
    if asked.playbooks is not None and not set(asked.playbooks) & set(entry["playbooks"]):
        return False
    if asked.names is not None and entry.get("service") not in asked.names:
        return False
    return entry["type"] not in asked.keep


def _shared(entry: Entry, ledger: Ledger, going: dict[str, Entry]) -> str | None:
    """Return why a resource stays although its name is no longer declared: another one is at its path."""
    path = entry["spec"].get("path")
    for id, other in ledger.entries.items():
        if id not in going and other["type"] == entry["type"] and path and other["spec"].get("path") == path:
            return f"it is now {other['label']}"
    return None


def _kept(entry: Entry, playbooks: list[str] | None) -> str | None:
    """Return why a resource stays although it is no longer ours; None when it is removed."""
    others = [] if playbooks is None else [name for name in entry["playbooks"] if name not in playbooks]
    if others:
        return "still wanted by " + ", ".join(others)
    kind = type_of(entry["type"])
    if kind.stays:
        return kind.stays
    if not entry["created"] and not kind.role:
        return "was there before"
    return None
