"""The flags that change between two start scripts, read from their diff.

The value before is known nowhere else: it is what the file on the host says, which a person may have
changed since the last apply. So it is read from that text, and the value after from the same diff.
"""

from __future__ import annotations

import re

_FLAG = re.compile(r"^([-+])\s*(--[a-z0-9][a-z0-9-]*)(?:[ =](.*?))?\s*\\?$")


def changed_flags(diff: str) -> list[str]:
    """Return one phrase for each flag that a diff adds, drops or changes: `--max-num-seqs 32 → 64`."""
    before: dict[str, str] = {}
    after: dict[str, str] = {}
    for line in diff.splitlines():
        found = _FLAG.match(line)
        if found:
            side = before if found[1] == "-" else after
            side[found[2]] = found[3] or ""
    phrases = []
    for flag in dict.fromkeys([*before, *after]):
        old, new = before.get(flag), after.get(flag)
        if old == new:
            continue
        if old is None:
            phrases.append(f"{flag} {new}".rstrip() + " (new)")
        elif new is None:
            phrases.append(f"{flag} {old}".rstrip() + " (dropped)")
        else:
            phrases.append(f"{flag} {old} → {new}")
    return phrases
