"""What the keys of other tools are called here: for errors about unknown keys."""

from __future__ import annotations

import re
from collections.abc import Collection
from functools import cache
from pathlib import Path

import yaml


@cache
def advice() -> dict[str, dict[str, str]]:
    """Return what to write instead of each key: of `ansible`, and of what else the models name."""
    data = Path(__file__).with_name("elsewhere.yml").read_bytes()
    return yaml.safe_load(data)  # type: ignore[no-any-return]


def hint(key: str, known: Collection[str], section: str | None = None) -> str | None:
    """Return what to write instead of a key of another tool; None when no advice fits.

    Args:
        key: that is unknown.
        known: the keys that are known in its place.
        section: the advice that comes before that of `ansible`.
    """
    if section is not None and key in advice()[section]:
        return advice()[section][key]
    found = advice()["ansible"].get(key)
    if found is None or key in known:
        return None
    # The advice must fit the place: `cmd` of a service is not `run`, and only paths are keys.
    needed = ["owner"] if key in ("dest", "path") else re.findall(r"write `([a-z_]+)`", found)
    return found if not needed or any(name in known for name in needed) else None
