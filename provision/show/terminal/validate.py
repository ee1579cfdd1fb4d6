"""What is noted of the input, and what it declares."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, TextIO

import click

from provision.show.items import Item, Located, Run, Valid
from provision.show.terminal.findings import note
from provision.show.terminal.screen import Screen
from provision.show.words import count

if TYPE_CHECKING:
    from provision.wire.finding import Finding

SHOWN = 5
"""Hosts that are named by a note that many share."""


class Validate(Screen):
    """Notes on standard error, and one line that counts what is declared."""

    def __init__(self, run: Run, out: TextIO) -> None:
        super().__init__(run, out)
        self._noted: dict[str, tuple[Finding, list[str]]] = {}
        """What is noted of hosts, with their names: hosts often share what they are noted for."""

    def lines(self, item: Item) -> Iterator[str]:
        """Return the line."""
        if isinstance(item, Located) and item.host:
            _, hosts = self._noted.setdefault(str(item.finding.plain()), (item.finding, []))
            hosts.append(item.host)
        elif isinstance(item, Valid):
            for finding, hosts in self._noted.values():
                more = f" and {len(hosts) - SHOWN} more" if len(hosts) > SHOWN else ""
                note(finding, ", ".join(hosts[:SHOWN]) + more)
            if not item.resources:
                nothing = "nothing is declared; a play has services, packages, files, and more"
                click.echo(f"note: {nothing}", err=True)
            what = f"{count(len(item.playbooks), 'playbook')}, {count(item.hosts, 'host')}"
            yield f"valid: {what}, {count(item.services, 'service')}, {count(item.resources, 'resource')}"
