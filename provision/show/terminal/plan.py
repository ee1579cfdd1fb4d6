"""A plan on the screen, once all hosts have been heard."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TextIO

from provision.show.items import Item, Run
from provision.show.terminal.differences import plan_lines
from provision.show.terminal.passing import Passing
from provision.show.terminal.screen import Screen
from provision.show.words import count, listing
from provision.wire import events


class Plan(Screen):
    """The plan in the order of the inventory; until then, on a terminal, who is still waited for."""

    def __init__(self, run: Run, out: TextIO) -> None:
        super().__init__(run, out)
        self._waiting = dict.fromkeys(run.hosts)
        self._line = Passing()

    def take(self, item: Item) -> None:
        """Remember one item, and show who is waited for."""
        super().take(item)
        if isinstance(item, events.Done | events.Unreachable | events.Error):
            self._waiting.pop(item.host, None)
            self._line.show(waiting_words(len(self.report.hosts), list(self._waiting)))

    def ending(self) -> Iterator[str]:
        """Return the plan."""
        self._line.clear()
        yield from plan_lines(self.report, self.run.diffs)


def waiting_words(hosts: int, waiting: list[str]) -> str:
    """Say which hosts have not been heard to the end."""
    if not waiting:
        return ""
    return f"{hosts - len(waiting)} of {count(hosts, 'host')}, waiting for {listing(waiting, 4)}"
