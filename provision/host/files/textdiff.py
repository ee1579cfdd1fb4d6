"""Unified diffs of bounded length, for a person to read."""

from __future__ import annotations

import difflib

MAX_LINES = 200
"""Lines that are shown; those beyond are counted."""

MAX_LINE = 400
"""Characters of a line that are shown."""

MAX_BYTES = 512 * 1024
"""Size of a content above which only the sizes are shown: the diff takes long, and is too long to read."""


def unified(old: bytes | None, new: bytes, path: str) -> str:
    """Return the diff from `old` (None: there is no such file) to `new`."""
    before = old or b""
    if len(before) > MAX_BYTES or len(new) > MAX_BYTES or b"\0" in before or b"\0" in new:
        return sizes(len(before), len(new), path)
    lines = [
        line if len(line) <= MAX_LINE else line[:MAX_LINE] + " …"
        for line in difflib.unified_diff(
            _lines(before), _lines(new), "/dev/null" if old is None else path, path, lineterm=""
        )
    ]
    if len(lines) > MAX_LINES:
        lines[MAX_LINES:] = [f"… and {len(lines) - MAX_LINES} more lines"]
    return "\n".join(lines)


def sizes(old: int, new: int, path: str) -> str:
    """Return what is shown instead of a diff when the content is too large, or no text."""
    return f"{path}: {old} bytes become {new} bytes"


def _lines(data: bytes) -> list[str]:
    text = data.decode("utf-8", "backslashreplace")
    if not text:
        return []
    lines = text.split("\n")
    if lines[-1] == "":
        return lines[:-1]
    return [*lines[:-1], lines[-1] + "\n\\ No newline at end of file"]
