"""A directory with files, and nothing else in it."""

from __future__ import annotations

from provision.wire.spec import Placed


class TreeSpec(Placed):
    """A directory whose files are all declared: their texts by relative path, and the mode of each."""

    files: dict[str, str]
    mode: str = "0644"
