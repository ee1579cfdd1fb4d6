"""What the screens of all verbs have in common."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TextIO

import click

from provision.show.items import Item, Located, Run
from provision.show.report import Report
from provision.show.terminal.findings import note
from provision.show.writer import Writer


class Screen(Writer):
    """Remembers what is told, and prints lines as it comes and at the end."""

    def __init__(self, run: Run, out: TextIO) -> None:
        super().__init__(run, out)
        self.report = Report(run.hosts)

    def take(self, item: Item) -> None:
        """Remember one item, and print its lines; a finding about no host is a note on standard error."""
        self.report.take(item)
        if isinstance(item, Located) and item.host is None:
            note(item.finding)
        self.say(self.lines(item))

    def close(self) -> None:
        """Print the end."""
        self.say(self.ending())

    def say(self, lines: Iterable[str]) -> None:
        """Print lines."""
        for line in lines:
            click.echo(line, file=self.out)

    def lines(self, item: Item) -> Iterable[str]:
        """Return the lines that one item is worth; most are worth none."""
        return ()

    def ending(self) -> Iterable[str]:
        """Return the last lines."""
        return ()
