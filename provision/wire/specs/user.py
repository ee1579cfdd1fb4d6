"""A user of the host."""

from __future__ import annotations

from typing import ClassVar

from provision.wire.spec import Spec


class UserSpec(Spec):
    """A user. What is None is not checked, and left to the system when the user is created."""

    GROUPS: ClassVar[tuple[str, ...]] = ("group", "groups")
    name: str
    uid: int | None = None
    group: str | None = None
    groups: list[str] = []
    home: str | None = None
    shell: str | None = None
    system: bool = False
    create_home: bool = True
