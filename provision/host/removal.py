"""Taking away what provision has put on a host, and nothing else."""

from __future__ import annotations

import os
from typing import Any

from provision.host import causes
from provision.host.failure import Failure
from provision.host.machine import Machine
from provision.host.resources import recall
from provision.host.state import backup, ground, marks
from provision.host.state.ledger import Entry, Ledger, removal_order
from provision.host.state.lock import RunLock
from provision.wire import events

RUNNING = ("unit", "process", "container")


def remove(machine: Machine, request: dict[str, Any]) -> events.Done:
    """Carry out the verb `remove`.

    Options: `playbooks` and `services` choose what goes (None: everything); `keep` names resource types that
    stay; `dry` only says what would go.
    """
    options = request["options"]
    if not os.path.isdir(machine.state):
        return events.Done(ok=True, counts={"removed": 0, "kept": 0, "failed": 0})
    ledger = Ledger(machine.state)
    entries = {id: entry for id, entry in ledger.entries.items() if _chosen(entry, options)}
    if options.get("dry"):
        counts = remove_entries(machine, ledger, entries, options.get("playbooks"), dry=True)
        return events.Done(ok=True, counts=counts)
    with RunLock(machine, options.get("who", "somebody")):
        counts = remove_entries(machine, ledger, entries, options.get("playbooks"))
        ledger.save()
        if not ledger.entries:
            ground.leave(machine.state)
    return events.Done(ok=not counts["failed"], counts=counts)


def remove_entries(
    machine: Machine,
    ledger: Ledger,
    entries: dict[str, Entry],
    playbooks: list[str] | None,
    dry: bool = False,
) -> dict[str, int]:
    """Remove the resources of `entries`, each before what it stands on.

    A failure is told and does not stop the rest; what another playbook still wants stays.
    """
    counts = {"removed": 0, "kept": 0, "failed": 0}
    for id in removal_order(entries):
        entry = entries[id]
        event = events.Removed(id=id, label=entry["label"], planned=dry, kept=_kept(entry, playbooks))
        try:
            if not dry:
                if event.kept is None:
                    gone = recall({"id": id, "type": entry["type"], "spec": entry["spec"]}).remove(machine)
                    if not gone and entry["type"] == "directory" and _holds_others(entry, machine.state):
                        event.kept = "holds what is not ours"
                    if entry["type"] in RUNNING and entry.get("service"):
                        marks.forget(machine.state, entry["service"])
                        backup.forget(machine.state, entry["service"])
                ledger.release(id, playbooks)
            counts["removed" if event.kept is None else "kept"] += 1
        except (Failure, OSError) as error:
            event.finding = causes.explain(error).finding
            counts["failed"] += 1
        machine.emit(event)
    return counts


def _holds_others(entry: Entry, state: str) -> bool:
    """Whether a directory is left because of more than our own state, which goes last of all."""
    path: str = entry["spec"]["path"]
    try:
        left = os.listdir(path)
    except OSError:
        return False
    return left != [os.path.relpath(state, path).partition("/")[0]]


def _chosen(entry: Entry, options: dict[str, Any]) -> bool:
    playbooks, services = options.get("playbooks"), options.get("services")
    if playbooks is not None and not set(playbooks) & set(entry["playbooks"]):
        return False
    if services is not None and entry.get("service") not in services:
        return False
    return entry["type"] not in options.get("keep", [])


def _kept(entry: Entry, playbooks: list[str] | None) -> str | None:
    """Say why a resource stays although it is no longer ours to look after; None when it goes."""
    others = [] if playbooks is None else [name for name in entry["playbooks"] if name not in playbooks]
    if others:
        return "still wanted by " + ", ".join(others)
    if entry["type"] == "apt":
        return "others may need the packages by now"
    if not entry["created"] and entry["type"] not in (*RUNNING, "probe"):
        return "was there before"
    return None
