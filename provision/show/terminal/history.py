"""What services have run with, as a table."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import TextIO

from provision.show.items import Item, Run
from provision.show.terminal.findings import cause
from provision.show.terminal.screen import Screen
from provision.show.terminal.style import BAD, paint
from provision.show.terminal.table import table
from provision.wire import statuses
from provision.wire.revision import Revision

COLUMNS = ("HOST", "SERVICE", "REVISION", "WHEN", "WHO", "COMMIT", "OUTCOME", "CHANGES")


class History(Screen):
    """One table at the end, the last revision of each service at the bottom."""

    def __init__(self, run: Run, out: TextIO) -> None:
        super().__init__(run, out)
        self._told: list[statuses.History] = []

    def lines(self, item: Item) -> tuple[str, ...]:
        """Remember what a host tells; the table comes at the end."""
        if isinstance(item, statuses.History):
            self._told.append(item)
        return ()

    def ending(self) -> Iterator[str]:
        """Return the table, then the hosts that had nothing to say."""
        rows = [
            _row(told.host, told.service, revision)
            for name in self.report.hosts
            for told in self._told
            if told.host == name
            for revision in told.revisions
        ]
        yield from table(COLUMNS, rows)
        known = {told.host for told in self._told if told.revisions}
        for host in self.report.hosts.values():
            trouble = cause(host)
            if trouble:
                yield f"{host.name}  {paint('!', BAD)} {trouble}"
            elif host.name not in known:
                yield f"{host.name}  no service has changed yet"


def _row(host: str, service: str, revision: Revision) -> tuple[str, ...]:
    mark = " (runs)" if revision.current else "*" if revision.kept else ""
    commit = (revision.commit or "-")[:10] + (" (changed)" if revision.dirty else "")
    ignored = [f"in spite of {', '.join(revision.ignored)}"] if revision.ignored else []
    return (
        host,
        service,
        f"{revision.number}{mark}",
        _time(revision.when),
        revision.who or "-",
        commit,
        "interrupted" if revision.outcome == "begun" else revision.outcome,
        "; ".join([*revision.changes, *ignored]) or "-",
    )


def _time(seconds: float) -> str:
    try:
        return datetime.fromtimestamp(seconds).astimezone().strftime("%Y-%m-%d %H:%M:%S")
    except (ValueError, OverflowError, OSError):
        return "-"  # no year that a date can have
