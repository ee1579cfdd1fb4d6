"""The catalogue of codes on the screen."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby
from textwrap import wrap
from typing import TextIO

from provision.show.items import Code, Item, Run
from provision.show.terminal.screen import Screen
from provision.show.terminal.style import LOUD, QUIET, paint

WIDTH = 96
"""Columns of a paragraph."""


class Explain(Screen):
    """One code whole, or the titles of all."""

    def __init__(self, run: Run, out: TextIO) -> None:
        super().__init__(run, out)
        self._codes: list[Code] = []

    def take(self, item: Item) -> None:
        """Remember a code."""
        assert isinstance(item, Code)
        self._codes.append(item)

    def ending(self) -> Iterator[str]:
        """Return what there is to say of the codes."""
        return _explained(*self._codes) if len(self._codes) == 1 else _contents(self._codes)


def _contents(codes: list[Code]) -> Iterator[str]:
    width = max(len(each.code) for each in codes)
    for area, members in groupby(codes, lambda each: each.area):
        yield paint(area, LOUD)
        for each in members:
            yield f"  {each.code:{width}}  {each.entry.title}"
        yield ""
    yield "provision explain CODE says more of one."


def _explained(told: Code) -> Iterator[str]:
    """Return title, cause, way out, and an example."""
    entry = told.entry
    yield f"{paint(told.code, LOUD)}: {entry.title}"
    for text in (entry.cause, f"Way out: {entry.way_out}"):
        yield ""
        yield from wrap(text, WIDTH, break_long_words=False, break_on_hyphens=False)
    yield ""
    yield "Example:"
    for given in filter(None, (entry.inventory, entry.playbook)):
        yield from (f"    {line}" for line in given.splitlines())
        yield ""
    yield f"    {entry.example} {paint(f'[{told.code}]', QUIET)}"
