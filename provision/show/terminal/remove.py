"""What goes, and what stays and why."""

from __future__ import annotations

from collections.abc import Iterator

from provision.show.items import Item
from provision.show.terminal.lasting import lasting
from provision.show.terminal.screen import Screen
from provision.show.terminal.style import LOUD, paint
from provision.show.words import count
from provision.wire import events


class Remove(Screen):
    """Each resource as it goes, and the sum."""

    def lines(self, item: Item) -> Iterator[str]:
        """Return what one event is worth."""
        yield from lasting(self.report, item)
        if isinstance(item, events.Done) and item.ok and not self.report.hosts[item.host].removed:
            yield f"{paint(item.host, LOUD)}  these playbooks have put nothing here"

    def ending(self) -> Iterator[str]:
        """Return the sum."""
        removed = [event for host in self.report.hosts.values() for event in host.removed]
        gone = sum(1 for event in removed if not event.kept and not event.finding)
        verb = "to remove" if any(event.planned for event in removed) else "removed"
        yield f"{paint('Remove:', LOUD)} {count(gone, 'resource')} {verb}, {len(removed) - gone} kept."
