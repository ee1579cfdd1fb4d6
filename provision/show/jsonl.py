"""One JSON object a line, for programs."""

from __future__ import annotations

import json
import sys

from provision.wire import dataclass_events as events

VERSION = 1
"""Changes when a field is taken away or means something else; new fields and events do not count."""


class JsonLines:
    """Prints every event as it comes, with `version` and `host` in each."""

    def take(self, event: events.Event) -> None:
        """Print one event."""
        if isinstance(event, events.Heartbeat):
            return
        line = {"version": VERSION, "host": event.host, **event.as_json()}
        sys.stdout.write(json.dumps(line, ensure_ascii=False, separators=(",", ":")) + "\n")
        sys.stdout.flush()

    def close(self) -> None:
        """End the output; there is nothing left to say."""
