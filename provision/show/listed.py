"""A host of the inventory: how it is reached, its variables, and where each value comes from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from provision.config.inventory import Explained, explain, explain_settings
from provision.config.settings import NAMES

if TYPE_CHECKING:
    from provision.config.hosts import Host


@dataclass(frozen=True)
class Listed:
    """A host, as a row among others, or (`whole`) with each setting and variable and where it comes from."""

    host: Host
    whole: bool = False

    def settings(self) -> dict[str, Any]:
        """Return how the host is reached and where things go on it."""
        values = {key: getattr(self.host, key) for key in NAMES}
        return {key: value for key, value in values.items() if value not in (None, False, [])}

    def plain(self) -> dict[str, Any]:
        """Return the row, or everything."""
        row = {"event": "host", "name": self.host.name, **self.settings(), "groups": self.host.groups}
        if not self.whole:
            return row
        return {
            **row,
            "settings": [_origin(each) for each in explain_settings(self.host)],
            "variables": [_origin(each) for each in explain(self.host)],
            "notes": [note.message for note in self.host.notes],
            "findings": [note.plain() for note in self.host.notes],
        }


def _origin(each: Explained) -> dict[str, Any]:
    overrides = [{"value": value, "origin": origin} for value, origin in each.overridden]
    return {"name": each.name, "value": each.value, "origin": each.origin, "overrides": overrides}
