"""The catalogue of codes on the screen."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from textwrap import wrap

from provision.findings import Entry
from provision.show.style import LOUD, QUIET, paint

WIDTH = 96
"""Columns of a paragraph."""


def contents(areas: Mapping[str, Mapping[str, Entry]]) -> Iterator[str]:
    """Return all codes with their titles, area by area."""
    width = max(len(code) for entries in areas.values() for code in entries)
    for area, entries in areas.items():
        yield paint(area, LOUD)
        for code, entry in entries.items():
            yield f"  {code:{width}}  {entry.title}"
        yield ""
    yield "provision explain CODE says more of one."


def explained(code: str, entry: Entry) -> Iterator[str]:
    """Return what there is to say of a code: title, cause, way out, and an example."""
    yield f"{paint(code, LOUD)}: {entry.title}"
    for text in (entry.cause, f"Way out: {entry.way_out}"):
        yield ""
        yield from wrap(text, WIDTH, break_long_words=False, break_on_hyphens=False)
    yield ""
    yield "Example:"
    for given in filter(None, (entry.inventory, entry.playbook)):
        yield from (f"    {line}" for line in given.splitlines())
        yield ""
    yield f"    {entry.example} {paint(f'[{code}]', QUIET)}"
