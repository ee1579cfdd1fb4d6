"""Numbers and counts as people read them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING
from unicodedata import east_asian_width

if TYPE_CHECKING:
    from provision.wire import events
    from provision.wire.figures import Figures


def human_bytes(count: float) -> str:
    """Return a byte count in decimal units, as model hubs and disk vendors print it: `936 MB`."""
    for unit in ("B", "kB", "MB", "GB", "TB"):
        if abs(count) < 1000 or unit == "TB":
            break
        count /= 1000
    return f"{count:.0f} {unit}" if unit == "B" or abs(count) >= 100 else f"{count:.1f} {unit}"


def human_seconds(seconds: float) -> str:
    """Return a duration with the two units that matter: `0.4 s`, `12 s`, `3 min 20 s`, `2 d 4 h`."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    parts = []
    for name, size in (("d", 86400), ("h", 3600), ("min", 60), ("s", 1)):
        if whole >= size:
            parts.append(f"{whole // size} {name}")
            whole %= size
    return " ".join(parts[:2])


def count(number: int, one: str, many: str | None = None) -> str:
    """Return a number with its noun: `1 host`, `3 hosts`."""
    return f"{number} {one if number == 1 else many or one + 's'}"


def listing(items: Iterable[str], most: int = 8) -> str:
    """Return names with commas, the tail of a long list as a number."""
    names = list(items)
    if len(names) <= most:
        return ", ".join(names)
    return f"{', '.join(names[:most])} and {len(names) - most} more"


def orphan_words(orphan: events.Orphan) -> str:
    """Say what is left over of what a playbook once declared."""
    what = f"service {orphan.service}" if orphan.service else listing(orphan.ids, 4)
    size = f" ({count(len(orphan.ids), 'resource')})" if orphan.service else ""
    return f"orphaned: {what}{size} has left {listing(orphan.playbooks)}; `apply --prune` removes it"


def columns(text: str) -> int:
    """Return how wide a terminal shows a text: characters of East Asia take two columns."""
    return sum(2 if east_asian_width(character) in "WF" else 1 for character in text)


def clip(text: str, width: int) -> str:
    """Return a text cut to a number of columns."""
    if columns(text) <= width:
        return text
    while text and columns(text) > width - 1:
        text = text[:-1]
    return text + "…"


def last_start(known: Sequence[Figures]) -> str:
    """Return what the last starts of a service tell of the next: `its last start took 43 s; …`.

    Of several hosts the slowest start and the smallest cache count.
    """
    slowest = max(figures.seconds for figures in known)
    words = f"its last start took {'up to ' if len(known) > 1 else ''}{human_seconds(slowest)}"
    smallest = min(known, key=lambda figures: figures.tokens or 0)
    if smallest.tokens is None:
        return words
    room = f"{words}; its cache had room for {smallest.tokens:,} tokens"
    if smallest.length and smallest.sequences:
        room += f": {smallest.sequences:.1f} sequences of {smallest.length:,}"
    return room
