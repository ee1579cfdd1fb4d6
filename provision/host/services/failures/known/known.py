"""What is known of a failure."""

from __future__ import annotations

import re
from typing import Callable, NamedTuple


class Known(NamedTuple):
    """A failure that is known."""

    code: str
    pattern: re.Pattern[str]
    advice: str | Callable[[re.Match[str], str], str]
    """One sentence; `{0}`, `{1}` ... stand for the groups of the pattern."""
    held: bool = False
    """Whether it helps to know who holds the GPUs' memory."""


def known(
    code: str, pattern: str, advice: str | Callable[[re.Match[str], str], str], held: bool = False
) -> Known:
    """Return a failure whose pattern is found whatever the case of the letters."""
    return Known(code, re.compile(pattern, re.IGNORECASE), advice, held)
