"""What provision has put on this host: so it knows what is left over, and removes nothing else."""

from __future__ import annotations

import json
import os
from _thread import allocate_lock
from typing import Any, Dict, Iterable

from provision.host.state import durable
from provision.wire import plainjson

Entry = Dict[str, Any]


class Ledger:
    """One entry for each resource that was converged here.

    It holds the type, what `remove` needs, the playbooks that want it, and whether it was made or found. A
    resource is noted as `begun` before it is made, and confirmed when it is there.
    """

    def __init__(self, state: str) -> None:
        self._path = os.path.join(state, "ledger.json")
        self._lock = allocate_lock()
        self.entries: dict[str, Entry] = {}
        text = durable.read(self._path)
        if text is not None:
            self.entries = plainjson.loads(text)["resources"]
        self._saved = plainjson.dumps(self.entries, sort_keys=True)

    def record(self, id: str, entry: Entry) -> None:
        """Remember a converged resource. Once made by us, it stays made by us."""
        with self._lock:
            before = self.entries.get(id, {})
            playbooks = sorted({*entry["playbooks"], *before.get("playbooks", [])})
            created = bool(entry["created"] or before.get("created"))
            former = _former(before, entry["spec"].get("path"))
            self.entries[id] = {**entry, "playbooks": playbooks, "created": created, **former}

    def former(self, id: str) -> list[str]:
        """Return the paths that a resource had before, as far as they may be there still."""
        return list(self.entries.get(id, {}).get("former", ()))

    def keep_former(self, id: str, paths: Iterable[str]) -> None:
        """Note which of the former paths of a resource are there still."""
        with self._lock:
            left = list(paths)
            if id in self.entries and left != self.entries[id].get("former", []):
                entry = {key: value for key, value in self.entries[id].items() if key != "former"}
                self.entries[id] = {**entry, "former": left} if left else entry

    def confirm(self, id: str) -> None:
        """Note that what was begun is there."""
        with self._lock:
            if "begun" in self.entries.get(id, ()):
                self.entries[id] = {key: value for key, value in self.entries[id].items() if key != "begun"}

    def drop_begun(self, id: str) -> None:
        """Remove the entry of what was begun, and never confirmed."""
        with self._lock:
            if "begun" in self.entries.get(id, ()):
                del self.entries[id]

    def knows(self, id: str, playbooks: Iterable[str], path: str | None) -> bool:
        """Whether the resource is recorded for all of `playbooks`, and at this path if it has one."""
        entry = self.entries.get(id)
        if entry is None or entry["spec"].get("path") not in (None, path):
            return False
        return set(playbooks) <= set(entry["playbooks"])

    def release(self, id: str, playbooks: Iterable[str] | None) -> None:
        """Note that `playbooks` (None: all) no longer want a resource; remove its entry when none does."""
        with self._lock:
            entry = self.entries[id]
            gone = set(entry["playbooks"] if playbooks is None else playbooks)
            left = [name for name in entry["playbooks"] if name not in gone]
            if left:
                self.entries[id] = {**entry, "playbooks": left}
            else:
                del self.entries[id]

    def orphans(self, playbooks: Iterable[str], declared: Iterable[str]) -> dict[str, Entry]:
        """Return what `playbooks` have put here, no longer declare, and no other playbook wants."""
        names, ids = set(playbooks), set(declared)
        return {
            id: entry
            for id, entry in self.entries.items()
            if entry["playbooks"] and names >= set(entry["playbooks"]) and id not in ids
        }

    def leave_to_others(self, playbooks: Iterable[str], declared: Iterable[str]) -> None:
        """Note that `playbooks` no longer want what they do not declare, where another playbook does."""
        names, ids = set(playbooks), set(declared)
        for id, entry in list(self.entries.items()):
            wanting = set(entry["playbooks"])
            if id not in ids and wanting & names and wanting - names:
                self.release(id, names)

    def save(self) -> None:
        """Write the ledger when it has changed."""
        with self._lock:
            now = plainjson.dumps(self.entries, sort_keys=True)
            if now != self._saved:
                book = {"version": 1, "resources": self.entries}
                durable.write(self._path, json.dumps(book, indent=1, sort_keys=True) + "\n", mode=0o600)
                self._saved = now


def _former(before: Entry, path: str | None) -> dict[str, list[str]]:
    """Return what an entry keeps of the one before, when the resource is at another path now."""
    paths = [*before.get("former", []), before.get("spec", {}).get("path")]
    left = [each for each in dict.fromkeys(paths) if each and each != path]
    return {"former": left} if left else {}
