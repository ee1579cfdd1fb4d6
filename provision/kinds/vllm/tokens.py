"""Lengths in tokens as vLLM reads them."""

from __future__ import annotations

import re

_SCALE: dict[str, int] = {
    **{letter: 1000 ** (power + 1) for power, letter in enumerate("kmgt")},
    **{letter: 1024 ** (power + 1) for power, letter in enumerate("KMGT")},
}


def tokens(value: int | str) -> int | None:
    """Return a length in tokens: 8192, "8192", "8k" (8000), "8K" (8192), "1.5k"; None for "auto".

    Raises:
        ValueError: it is none of these.
    """
    if isinstance(value, int):
        return value
    text = value.strip()
    if text.lower() == "auto":
        return None
    match = re.fullmatch(r"(\d+(?:\.\d+)?)([kKmMgGtT]?)", text, re.ASCII)
    if match:
        number, letter = match.groups()
        if "." not in number:
            return int(number) * _SCALE.get(letter, 1)
        if letter.islower():
            return int(float(number) * _SCALE[letter])
    raise ValueError(f"{value!r} is not a number of tokens; write 8192, 8k (8000) or 8K (8192)")


def written(value: int | str) -> str:
    """Return a length in the digits that every release reads, or `auto`."""
    length = tokens(value)
    return "auto" if length is None else str(length)
