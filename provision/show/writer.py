"""What all formats have in common."""

from __future__ import annotations

from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from provision.show.items import Item, Run


class Writer:
    """Writes what one command tells in one format.

    Args:
        run: what is known of the command.
        out: standard output, or a file that is saved after `close`.
    """

    def __init__(self, run: Run, out: TextIO) -> None:
        self.run = run
        self.out = out

    def take(self, item: Item) -> None:
        """Write one item, or remember it until the end; the events of one host come in their order."""
        raise NotImplementedError

    def close(self) -> None:
        """Write what is left; no item follows."""
