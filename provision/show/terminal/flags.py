"""The flags of a command that change."""

from __future__ import annotations

import shlex

from provision.wire.events import Options


def changed_flags(former: Options, declared: Options) -> list[str]:
    """Return one phrase for each flag that is added, dropped or changed: `--max-num-seqs 32 → 64`."""
    before, after = _values(former), _values(declared)
    phrases = []
    for flag in {**before, **after}:
        old, new = before.get(flag), after.get(flag)
        if old is None:
            phrases.append(f"{flag} {new}".rstrip() + " (new)")
        elif new is None:
            phrases.append(f"{flag} {old}".rstrip() + " (dropped)")
        elif old != new:
            phrases.append(f"{flag} {old} → {new}")
    return phrases


def _values(options: Options) -> dict[str, str]:
    """Return the values of each flag, as a shell takes them; of one that is repeated, all."""
    found: dict[str, list[str]] = {}
    for first, *values in options:
        flag, given, value = first.partition("=")
        if flag.startswith("-"):
            found.setdefault(flag, []).extend([value, *values] if given else values)
    return {flag: shlex.join(values) for flag, values in found.items()}
