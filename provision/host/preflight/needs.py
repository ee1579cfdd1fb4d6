"""What a resource tells of its fix, for the checks before it."""

from __future__ import annotations

from typing import NamedTuple


class Fetch(NamedTuple):
    """Something that a fix brings to a file system, in bytes."""

    path: str
    """Below which it comes; it need not exist."""
    least: int
    """What it takes for certain."""
    usual: int
    """What it takes as far as is known; the same as `least` where that is exact."""
    field: str
    """The field of what is declared that asks for it."""
    files: int = 0


class Resolved(NamedTuple):
    """What an installer would make of the packages that are asked for."""

    packages: dict[str, str]
    """What would be installed: versions by canonical name."""
    refused: str | None = None
    """Why nothing can be installed, in its words."""
