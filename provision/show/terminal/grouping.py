"""Hosts with the same text are shown together: a hundred equal machines are one paragraph."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from provision.show.report import HostReport
from provision.show.terminal.style import LOUD, QUIET, paint
from provision.show.words import listing

NAMES = 6
"""Hosts of a group that are named; the others are counted."""


def grouped(
    hosts: Iterable[HostReport], words: Callable[[HostReport], list[str]]
) -> list[tuple[list[HostReport], list[str]]]:
    """Return groups of hosts that have the same words, in the order of the first host of each group."""
    groups: dict[tuple[str, ...], list[HostReport]] = {}
    for host in hosts:
        groups.setdefault(tuple(words(host)), []).append(host)
    return [(members, list(said)) for said, members in groups.items()]


def names(hosts: list[HostReport]) -> str:
    """Return the names of a group: `h1, h2, h3, h4, h5, h6 and 94 more`."""
    return paint(listing([host.name for host in hosts], NAMES), LOUD)


def heading(hosts: list[HostReport]) -> str:
    """Return the line above the text of a group: its names, and the kind of machine if all are alike."""
    about = {host.about for host in hosts if host.about}
    return names(hosts) + (f"  {paint(about.pop(), QUIET)}" if len(about) == 1 else "")
