"""Log lines, with the host in front where there are several."""

from __future__ import annotations

import click

from provision.show.findings import cause
from provision.show.jsonl import JsonLines
from provision.show.progress import View
from provision.show.report import Report
from provision.show.style import BAD, QUIET, paint
from provision.wire import events


class LogText:
    """Prints lines as they come."""

    def __init__(self, many: bool) -> None:
        self._many = many
        self._report = Report()

    def take(self, event: events.Event) -> None:
        """Print one line, or why there are none."""
        host = self._report.take(event)
        if isinstance(event, events.Line):
            click.echo(f"{paint(event.host, QUIET)}  {event.text}" if self._many else event.text)
        elif isinstance(event, events.Unreachable | events.Error):
            click.echo(f"{event.host}  {paint('!', BAD)} {cause(host)}", err=True)

    def close(self) -> None:
        """End the output; nothing is left open."""


def log_view(output: str, many: bool) -> View:
    """Return the view that `--output` asks for."""
    return JsonLines() if output == "json" else LogText(many)
