"""What is known of a failure."""

from __future__ import annotations

import re
from typing import Callable, NamedTuple, Sequence


class Known(NamedTuple):
    """A failure that a log tells of."""

    code: str
    pattern: str
    """Searched for in any case of the letters."""
    advice: str | Callable[[re.Match[str], str], str]
    """One sentence; `{0}`, `{1}` ... stand for the groups of the pattern. A function gets match and log."""
    message: str | None = None
    """What to say instead of what the program said."""


def find(among: Sequence[Known], text: str) -> tuple[Known, re.Match[str]] | None:
    """Return the first of these failures that a text tells of, and where; None for none of them."""
    for each in among:
        found = re.search(each.pattern, text, re.IGNORECASE)
        if found is not None:
            return each, found
    return None
