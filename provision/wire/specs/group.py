"""A group of users."""

from __future__ import annotations

from provision.wire.spec import Spec


class GroupSpec(Spec):
    """A group; `gid` None: the next free one."""

    name: str
    gid: int | None = None
    system: bool = False
