"""A user of the host."""

from __future__ import annotations

from provision.wire.spec import Spec


class UserSpec(Spec):
    """A user. What is None is not looked at, and left to the system when the user is made."""

    name: str
    uid: int | None
    group: str | None
    groups: list[str]
    home: str | None
    shell: str | None
    system: bool
    create_home: bool
