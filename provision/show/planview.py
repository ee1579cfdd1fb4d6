"""A plan on the screen, once all hosts have been heard."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from provision.show.findings import json_line, sentence
from provision.show.jsonl import JsonLines
from provision.show.passing import Passing
from provision.show.plan import plan_lines
from provision.show.report import Report
from provision.show.words import count, listing
from provision.wire import events

if TYPE_CHECKING:
    from provision.project.project import Project
    from provision.show.progress import View
    from provision.wire.finding import Finding


class PlanText:
    """Prints the plan in the order of the inventory; until then, on a terminal, who is still waited for."""

    def __init__(
        self, report: Report, diffs: bool, notes: dict[str, list[Finding]], general: Sequence[Finding] = ()
    ) -> None:
        self._report = report
        self._diffs = diffs
        self._notes = notes
        self._general = general
        self._waiting = dict.fromkeys(report.hosts)
        self._line = Passing()

    def take(self, event: events.Event) -> None:
        """Remember one event."""
        host = self._report.take(event)
        if isinstance(event, events.Hello):
            host.notes += self._notes.get(event.host, [])
        if isinstance(event, events.Done | events.Unreachable | events.Error):
            self._waiting.pop(event.host, None)
            self._line.show(waiting_words(len(self._report.hosts), list(self._waiting)))

    def close(self) -> None:
        """Print the plan."""
        self._line.clear()
        for note in self._general:
            click.echo(f"note: {sentence(note)}", err=True)
        for line in plan_lines(self._report, self._diffs):
            click.echo(line)


def waiting_words(hosts: int, waiting: list[str]) -> str:
    """Say which hosts have not been heard to the end."""
    return (
        f"{hosts - len(waiting)} of {count(hosts, 'host')}, waiting for {listing(waiting, 4)}"
        if waiting
        else ""
    )


def plan_view(report: Report, output: str, diffs: bool, project: Project) -> View:
    """Return the view that `--output` asks for."""
    if output == "json":
        for host, note in project.findings():
            click.echo(json_line(note, host))
        return JsonLines()
    notes = {name: catalog.notes for name, catalog in project.fleet.catalogs.items()}
    return PlanText(report, diffs, notes, project.notes)
