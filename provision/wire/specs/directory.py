"""A directory."""

from __future__ import annotations

from provision.wire.spec import Spec


class DirectorySpec(Spec):
    """A directory; owner, group and mode (octal, as text) that are None are not looked at."""

    path: str
    owner: str | None
    group: str | None
    mode: str | None
