"""Going back by hand: what is done, and how it ended."""

from __future__ import annotations

from collections.abc import Iterator

from provision.show.items import Item
from provision.show.terminal.findings import cause
from provision.show.terminal.lasting import lasting
from provision.show.terminal.screen import Screen
from provision.show.terminal.style import BAD, paint
from provision.show.words import count


class Rollback(Screen):
    """What each host does, and the sum where something went wrong."""

    def lines(self, item: Item) -> list[str]:
        """Return what one event is worth."""
        return lasting(self.report, item)

    def ending(self) -> Iterator[str]:
        """Return how many hosts are in trouble."""
        broken = [host for host in self.report.hosts.values() if not host.ok]
        if broken:
            silent = [host.name for host in broken if host.done is None and not cause(host)]
            yield from (f"{name}  {paint('!', BAD)} the host did not finish" for name in silent)
            yield paint(f"Rollback: {count(len(broken), 'host')} in trouble.", BAD)
