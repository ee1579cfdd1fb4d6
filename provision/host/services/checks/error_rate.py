"""How much a transcript differs from what was said."""

from __future__ import annotations

import unicodedata
from typing import Any, Sequence


def error_rate(expected: str, heard: str) -> float:
    """Return the character error rate: edits per expected character.

    Case, width, punctuation and spaces do not count, since no speaker pronounces them.
    """
    wanted, got = _plain(expected), _plain(heard)
    if not wanted:
        return 1.0 if got else 0.0
    return distance(wanted, got) / len(wanted)


def distance(one: Sequence[Any], other: Sequence[Any]) -> int:
    """Return Levenshtein's distance: the insertions, deletions and substitutions between two sequences."""
    row = list(range(len(other) + 1))
    for index, mine in enumerate(one, 1):
        above, row[0] = row[0], index
        for at, theirs in enumerate(other, 1):
            above, row[at] = row[at], min(row[at] + 1, row[at - 1] + 1, above + (mine != theirs))
    return row[-1]


def _plain(text: str) -> str:
    folded = unicodedata.normalize("NFKC", text).casefold()
    return "".join(char for char in folded if unicodedata.category(char)[0] not in "PZCS")
