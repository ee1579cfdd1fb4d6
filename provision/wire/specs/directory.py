"""A directory."""

from __future__ import annotations

from typing import ClassVar

from provision.wire.spec import Placed


class DirectorySpec(Placed):
    """A directory; owner, group and mode (octal, as text) that are None are not checked."""

    USERS: ClassVar[tuple[str, ...]] = ("owner",)
    GROUPS: ClassVar[tuple[str, ...]] = ("group",)
    owner: str | None = None
    group: str | None = None
    mode: str | None = None
