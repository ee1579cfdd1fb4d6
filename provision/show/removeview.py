"""What goes, and what stays and why."""

from __future__ import annotations

import click

from provision.show.jsonl import JsonLines
from provision.show.progress import View, lines
from provision.show.report import Report
from provision.show.style import LOUD, paint
from provision.show.words import count
from provision.wire import events


class RemoveText:
    """Prints each resource as it goes."""

    def __init__(self, report: Report) -> None:
        self._report = report

    def take(self, event: events.Event) -> None:
        """Print what one event is worth."""
        host = self._report.take(event)
        for line in lines(self._report, event):
            click.echo(line)
        if isinstance(event, events.Done) and not host.removed and event.ok:
            click.echo(f"{paint(event.host, LOUD)}  there is nothing of these playbooks here")

    def close(self) -> None:
        """Print the sum."""
        removed = [event for host in self._report.hosts.values() for event in host.removed]
        gone = sum(1 for event in removed if not event.kept and not event.finding)
        planned = any(event.planned for event in removed)
        verb = "to remove" if planned else "removed"
        click.echo(f"{paint('Remove:', LOUD)} {count(gone, 'resource')} {verb}, {len(removed) - gone} kept.")


def remove_view(report: Report, output: str) -> View:
    """Return the view that `--output` asks for."""
    return JsonLines() if output == "json" else RemoveText(report)
