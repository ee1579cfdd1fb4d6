"""Asking hosts what exactly they have, for the verbs that make something of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from provision.wire.events import Hello
from provision.wire.taken import Taken

if TYPE_CHECKING:
    from provision.wire.events import Event, Facts


class Taker(Protocol):
    """Is told what happens."""

    def take(self, event: Event) -> None:
        """Take one event."""


class Taking:
    """Keeps what hosts tell, and passes it on.

    Args:
        listener: is told of everything, and is closed by whoever made it.
    """

    def __init__(self, listener: Taker) -> None:
        self._listener = listener
        self.taken: list[Taken] = []
        self.facts: dict[str, Facts] = {}

    def take(self, event: Event) -> None:
        """Take one event."""
        if isinstance(event, Taken):
            self.taken.append(event)
        elif isinstance(event, Hello):
            self.facts[event.host] = event.facts
        self._listener.take(event)

    def close(self) -> None:
        """No event follows."""
