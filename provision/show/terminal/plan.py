"""A plan on the screen, once all hosts have answered."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, TextIO

from provision.show.items import Item, Run, Waves
from provision.show.terminal.differences import plan_lines
from provision.show.terminal.screen import Screen
from provision.show.words import clip, count, human_seconds, listing
from provision.wire import events, rollout

if TYPE_CHECKING:
    from provision.fleet.waves import Waves as Order


class Plan(Screen):
    """The plan in the order of the inventory; until then, on a terminal, the hosts that it waits for."""

    def __init__(self, run: Run, out: TextIO) -> None:
        super().__init__(run, out)
        self._waiting = dict.fromkeys(run.hosts)
        self._order: Order | None = None

    def take(self, item: Item) -> None:
        """Remember one item, and show which hosts have yet to answer."""
        super().take(item)
        if isinstance(item, Waves):
            self._order = item.order
        if isinstance(item, events.Done | rollout.Unreachable | events.Error):
            self._waiting.pop(item.host, None)
            self._replace(waiting_words(len(self.report.hosts), list(self._waiting)))

    def ending(self) -> Iterator[str]:
        """Return the plan."""
        self._replace("")
        yield from plan_lines(self.report, self.run.diffs)
        if self._order and any(host.differing for host in self.report.hosts.values()):
            yield order_words(self._order)

    def _replace(self, text: str) -> None:
        """Replace the last line of a terminal."""
        if self.out.isatty():
            import shutil  # here, as most runs have no terminal

            self.out.write("\r\x1b[K" + clip(text, shutil.get_terminal_size().columns - 1))
            self.out.flush()


def order_words(order: Order) -> str:
    """Return in which order hosts are changed, and when that ends early."""
    waves = " → ".join(listing(names, 4) for names in order.hosts)
    pause = f", {human_seconds(order.pause)} apart" if order.pause else ""
    limit = order.max_failures
    end = "at the first failure" if not limit else f"when more than {count(limit, 'host')} failed"
    why = "" if order.declared else "; `rollout:` of a play says otherwise"
    return f"Order: {waves}{pause}; stops {end}{why}."


def waiting_words(hosts: int, waiting: list[str]) -> str:
    """Return which hosts have not finished."""
    if not waiting:
        return ""
    return f"{hosts - len(waiting)} of {count(hosts, 'host')}, waiting for {listing(waiting, 4)}"
