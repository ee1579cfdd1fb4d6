"""Log lines, with the host, and the rank of a node, in front where there are several."""

from __future__ import annotations

from collections.abc import Iterator

import click

from provision.show.items import Item
from provision.show.terminal.findings import sentence
from provision.show.terminal.screen import Screen
from provision.show.terminal.style import BAD, QUIET, paint
from provision.wire import events, rollout


class Logs(Screen):
    """Lines as they come; on standard error why there are none."""

    def lines(self, item: Item) -> Iterator[str]:
        """Return a line of a log."""
        if isinstance(item, events.Line):
            several = len(self.run.hosts) > 1
            words = [item.host] if several else []
            words += [f"rank {item.rank}"] if item.rank is not None else []
            yield f"{paint(' '.join(words), QUIET)}  {item.text}" if words else item.text
        elif isinstance(item, rollout.Unreachable | events.Error):
            click.echo(f"{item.host}  {paint('!', BAD)} {sentence(item.finding)}", err=True)
