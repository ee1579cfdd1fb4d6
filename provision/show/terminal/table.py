"""Columns for people."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from provision.show.terminal.style import QUIET, paint
from provision.show.words import columns


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """Return the lines of a table, its head first; nothing without rows."""
    if not rows:
        return
    widths = [max(columns(row[index]) for row in [head, *rows]) for index in range(len(head))]
    yield paint(_line(head, widths), QUIET)
    for row in rows:
        yield _line(row, widths)


def _line(row: Sequence[str], widths: Sequence[int]) -> str:
    cells = (cell + " " * (width - columns(cell)) for cell, width in zip(row, widths, strict=True))
    return "  ".join(cells).rstrip()
