"""A view that also remembers, for verbs that decide by what was said."""

from __future__ import annotations

from typing import TYPE_CHECKING

from provision.show.report import Report
from provision.wire import events

if TYPE_CHECKING:
    from provision.show.progress import View


class Tee:
    """Passes events on to a view and keeps a report of them."""

    def __init__(self, report: Report, view: View) -> None:
        self._report = report
        self._view = view

    def take(self, event: events.Event) -> None:
        """Remember one event and show it."""
        self._report.take(event)
        self._view.take(event)

    def close(self) -> None:
        """End the view."""
        self._view.close()
