"""What hosts say, made fit for a terminal: no control character of theirs reaches it."""

from __future__ import annotations

import re
from typing import Any

_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff]")
"""All but tab and newline; and halves of surrogate pairs, which cannot be written at all."""


def visible(value: Any) -> Any:
    r"""Return plain data with control characters in its texts as escapes: `\x1b[2J` clears no screen."""
    if isinstance(value, str):
        return value if value.isprintable() else _CONTROL.sub(_escape, value)
    if isinstance(value, list):
        return [visible(item) for item in value]
    if isinstance(value, dict):
        return {visible(key): visible(item) for key, item in value.items()}
    return value


def _escape(found: re.Match[str]) -> str:
    return found.group().encode("unicode_escape").decode()
