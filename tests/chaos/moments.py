"""The moments of an apply: after which event on which host it is disturbed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

PASSING = {"heartbeat", "progress", "output", "waiting", "inspected", "note"}
"""Events between which nothing is done to a host, or whose number is not the same each time."""


@dataclass(frozen=True, order=True)
class Moment:
    """Right after the event with this name that is about `what`, the `number`th of its kind on its host."""

    host: str
    event: str
    what: str
    number: int

    def __str__(self) -> str:
        times = f" ({self.number})" if self.number > 1 else ""
        return f"{self.host}: {self.event} {self.what}{times}".rstrip()


class Counting:
    """Names the moments of one run, in the order in which they come."""

    def __init__(self) -> None:
        self._seen: Counter[tuple[str, str, str]] = Counter()

    def of(self, event: dict[str, Any]) -> Moment | None:
        """Return the moment that an event marks, if it is one."""
        if event["event"] in PASSING or event.get("status") == "ok" or not event.get("host"):
            return None
        what = str(event.get("id") or event.get("service") or "")
        if "out" in event:
            what += " out" if event["out"] else " in"
        if event["event"] == "result":
            what += f" {event['status']}"
        key = (event["host"], event["event"], what)
        self._seen[key] += 1
        return Moment(*key, self._seen[key])


def moments(events: Iterable[dict[str, Any]]) -> list[Moment]:
    """Return the moments of a whole run."""
    counting = Counting()
    return [moment for event in events if (moment := counting.of(event))]
