"""One JSON object a line, for programs."""

from __future__ import annotations

import json
import sys
from typing import Any

from provision.wire import events
from provision.wire.finding import Finding

VERSION = 1
"""Changes when a field is taken away or means something else; new fields and events do not count."""


class JsonLines:
    """Prints every event as it comes, with `version` and `host` in each."""

    def take(self, event: events.Event) -> None:
        """Print one event."""
        if isinstance(event, events.Heartbeat):
            return
        line = {"version": VERSION, **fields(event)}
        sys.stdout.write(json.dumps(line, ensure_ascii=False, separators=(",", ":")) + "\n")
        sys.stdout.flush()

    def close(self) -> None:
        """End the output; there is nothing left to say."""


def fields(event: events.Event) -> dict[str, Any]:
    """Return an event as it is printed: as it is, and the texts of its findings under keys of their own."""
    data = {"host": event.host, **event.plain()}
    match event:
        case events.Note():
            data["text"] = event.finding.message
        case events.Unreachable():
            data |= {"cause": event.finding.message, "hint": event.finding.hint, "log": event.finding.log}
        case events.Error():
            data |= _said(event.finding, "message")
        case events.Waiting():
            data["for"] = event.reason
        case events.Inspected():
            data["work"] = {key: value for key, value in (data["work"] or {}).items() if value}
            data["findings"], data["notes"] = data["notes"], [note.sentence() for note in event.notes]
            data |= _said(event.finding)
        case events.Result() | events.Proof() | events.Restored() | events.Removed():
            data |= _said(event.finding)
        case _:
            pass
    if data.get("finding"):
        data["code"] = data["finding"]["code"]
    return data


def _said(finding: Finding | None, key: str = "error") -> dict[str, Any]:
    if finding is None:
        return {key: None, "hint": None, "log": []}
    return {key: finding.message, "hint": finding.hint, "log": finding.log}
