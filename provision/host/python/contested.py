"""Packages of which uv and pip may choose different files: uv looks at one index, pip at all of them."""

from __future__ import annotations

import re
from typing import Sequence
from urllib.parse import unquote


def orders(lines: Sequence[str]) -> list[list[str]]:
    """Return the lines of a requirements file once for each index in them, with that index to be asked first.

    uv asks the extra indexes in their order, and the index last.
    """
    indexes: list[str] = []
    for option in ("--extra-index-url ", "--index-url "):
        for line in lines:
            url = line[len(option) :]
            if line.startswith(option) and url not in indexes:
                indexes.append(url)
    others = [line for line in lines if not re.match(r"--(extra-)?index-url ", line)]
    turned = [indexes[start:] + indexes[:start] for start in range(len(indexes))]
    return [
        [f"--index-url {last}", *(f"--extra-index-url {url}" for url in first), *others]
        for *first, last in turned
    ]


def wheels(lock: str) -> dict[str, set[str]]:
    """Return for each package of a `pylock.toml` as uv writes it the names of its wheels."""
    found: dict[str, set[str]] = {}
    current: set[str] = set()
    for line in lock.splitlines():
        name = re.match(r'name = "(.*)"', line)
        if name:
            current = found.setdefault(name.group(1), set())
        for place in re.findall(r'\b(?:url|path) = "([^"]+\.whl)"', line):
            current.add(unquote(place.rpartition("/")[2]))
    return found


def contested(locks: Sequence[str]) -> dict[str, list[list[str]]]:
    """Return the packages whose wheels are not the same in all locks, with what each lock has."""
    seen = [wheels(lock) for lock in locks]
    names = sorted({name for each in seen for name in each})
    return {
        name: [sorted(each.get(name, ())) for each in seen]
        for name in names
        if any(each.get(name) != seen[0].get(name) for each in seen)
    }
