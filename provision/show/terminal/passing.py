"""A line that says what is being waited for and leaves no trace."""

from __future__ import annotations

import sys

from provision.show.words import clip

_CLEAR = "\r\x1b[K"


class Passing:
    """One line on a terminal, written over by the next; nothing where standard output is no terminal."""

    def __init__(self) -> None:
        self._shown = False
        self._terminal = sys.stdout.isatty()

    def show(self, text: str) -> None:
        """Put the line in place of the one before."""
        if self._terminal:
            import shutil  # here, as most runs have no terminal

            width = shutil.get_terminal_size().columns
            sys.stdout.write(_CLEAR + clip(text, width - 1))
            sys.stdout.flush()
            self._shown = True

    def clear(self) -> None:
        """Take the line away."""
        if self._shown:
            sys.stdout.write(_CLEAR)
            self._shown = False
