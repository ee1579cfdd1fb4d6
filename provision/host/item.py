"""One resource of a request, and what has become of it."""

from __future__ import annotations

from typing import Any

from provision.host.failure import Failure
from provision.host.resource import Changes, Resource, State
from provision.host.resources import make


class Item:
    """One resource of the request, and what has become of it."""

    def __init__(self, entry: dict[str, Any]) -> None:
        self.id: str = entry["id"]
        self.type: str = entry["type"]
        self.label: str = entry.get("label") or self.id
        self.service: str | None = entry.get("service")
        self.playbooks: list[str] = entry.get("playbooks", [])
        self.needs: list[str] = entry.get("needs", [])
        self.triggers: list[str] = entry.get("triggers", [])
        self.followers: dict[str, list[str]] = entry.get("followers", {})
        self.resource: Resource = make(entry)
        self.actual: State = {}
        self.changes: Changes = {}
        self.error: Failure | None = None
        self.status = ""
