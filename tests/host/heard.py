"""What the host side says in a test, as `--output json` prints it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from provision.show.jsonl import fields
from provision.wire.events import Event


def into(events: list[dict[str, Any]]) -> Callable[[Event], None]:
    """Return what a machine emits to, so that its events are in `events`."""
    return lambda event: events.append(fields(event))
