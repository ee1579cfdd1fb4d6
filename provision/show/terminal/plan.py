"""A plan on the screen, once all hosts have answered."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TextIO

from provision.show.items import Item, Run
from provision.show.terminal.differences import plan_lines
from provision.show.terminal.screen import Screen
from provision.show.words import clip, count, listing
from provision.wire import events


class Plan(Screen):
    """The plan in the order of the inventory; until then, on a terminal, the hosts that it waits for."""

    def __init__(self, run: Run, out: TextIO) -> None:
        super().__init__(run, out)
        self._waiting = dict.fromkeys(run.hosts)

    def take(self, item: Item) -> None:
        """Remember one item, and show which hosts have yet to answer."""
        super().take(item)
        if isinstance(item, events.Done | events.Unreachable | events.Error):
            self._waiting.pop(item.host, None)
            self._replace(waiting_words(len(self.report.hosts), list(self._waiting)))

    def ending(self) -> Iterator[str]:
        """Return the plan."""
        self._replace("")
        yield from plan_lines(self.report, self.run.diffs)

    def _replace(self, text: str) -> None:
        """Replace the last line of a terminal."""
        if self.out.isatty():
            import shutil  # here, as most runs have no terminal

            self.out.write("\r\x1b[K" + clip(text, shutil.get_terminal_size().columns - 1))
            self.out.flush()


def waiting_words(hosts: int, waiting: list[str]) -> str:
    """Return which hosts have not finished."""
    if not waiting:
        return ""
    return f"{hosts - len(waiting)} of {count(hosts, 'host')}, waiting for {listing(waiting, 4)}"
