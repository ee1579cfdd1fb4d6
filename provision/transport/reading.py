"""Reading what a host says: a line of JSON becomes an event of that host."""

from __future__ import annotations

from typing import Any

from provision.transport.visible import visible
from provision.wire.events import Event, Inspected, Result
from provision.wire.record import Mismatch


def read(data: dict[str, Any], host: str) -> Event:
    """Return the event that a JSON object stands for, with control characters as visible escapes.

    Args:
        data: what the host sent.
        host: its name, whatever the host itself says.

    Raises:
        Mismatch: it is none, or its fields are not those of this version.
    """
    event = Event.parse(visible(data))
    event.host = host
    if isinstance(event, Inspected | Result):
        try:
            event.changes = {key: (actual, expected) for key, (actual, expected) in event.changes.items()}
        except (TypeError, ValueError, AttributeError):
            raise Mismatch(f"{type(event).__name__}: `changes` holds no pairs") from None
    return event
