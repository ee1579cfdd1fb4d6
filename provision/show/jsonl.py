"""One JSON object a line, for programs."""

from __future__ import annotations

import json
from typing import Any

from provision.show.items import Item
from provision.show.writer import Writer
from provision.wire import events, questions, rollout
from provision.wire.finding import Finding

VERSION = 1
"""Changes when a field is taken away or means something else; new fields and events do not count."""


class JsonLines(Writer):
    """Prints every item as it comes, with `version` in each."""

    def take(self, item: Item) -> None:
        """Print one item."""
        if isinstance(item, events.Heartbeat):
            return
        data = fields(item) if isinstance(item, events.Event) else item.plain()
        line = json.dumps(
            {"version": VERSION, **data}, ensure_ascii=False, separators=(",", ":"), default=str
        )
        self.out.write(line + "\n")
        self.out.flush()


def fields(event: events.Event) -> dict[str, Any]:
    """Return an event as it is printed: as it is, and the texts of its findings under keys of their own."""
    data = {"host": event.host, **event.plain()}
    if not event.host:
        del data["host"]
    match event:
        case events.Note():
            data["text"] = event.finding.message
        case rollout.Unreachable():
            data |= {"cause": event.finding.message, "hint": event.finding.hint, "log": event.finding.log}
        case events.Error():
            data |= _said(event.finding, "message")
        case questions.Surveyed():
            # The list of weights is for our own arithmetic, and can have thousands of lines.
            for model in data["models"]:
                del model["tensors"]
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
