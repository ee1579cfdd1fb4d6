"""What is noted of the input, and what it declares."""

from __future__ import annotations

from collections.abc import Iterator

import click

from provision.show.items import Item, Located, Valid
from provision.show.terminal.findings import note
from provision.show.terminal.screen import Screen
from provision.show.words import count


class Validate(Screen):
    """Notes on standard error, and one line that counts what is declared."""

    def lines(self, item: Item) -> Iterator[str]:
        """Return the line."""
        if isinstance(item, Located) and item.host:
            note(item.finding, item.host)
        elif isinstance(item, Valid):
            if not item.resources:
                nothing = "nothing is declared; a play has services, packages, files, and more"
                click.echo(f"note: {nothing}", err=True)
            what = f"{count(len(item.playbooks), 'playbook')}, {count(item.hosts, 'host')}"
            yield f"valid: {what}, {count(item.services, 'service')}, {count(item.resources, 'resource')}"
