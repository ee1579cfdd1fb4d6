"""A directory with files, and nothing else in it."""

from __future__ import annotations

from provision.wire.spec import Spec


class TreeSpec(Spec):
    """A directory whose files are all declared: their texts by relative path, and the mode of each."""

    path: str
    files: dict[str, str]
    mode: str
