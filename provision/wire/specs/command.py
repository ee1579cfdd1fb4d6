"""A command."""

from __future__ import annotations

from typing import ClassVar

from provision.wire.spec import Spec


class CommandSpec(Spec):
    """A command and when it runs.

    - `argv`: the program and its arguments
    - `creates`: a path; it runs only when that is not there
    - `unless`: a command; it runs only when that fails
    - `when_changed`: it runs only after a change of what it follows
    - `timeout`: seconds
    - `directory`, `user`: where and as whom; None: as the run itself
    - `env`: variables, of which those in `secrets` are never shown
    """

    USERS: ClassVar[tuple[str, ...]] = ("user",)
    name: str
    argv: list[str]
    creates: str | None = None
    unless: list[str] | None = None
    when_changed: bool = False
    timeout: float | None = None
    directory: str | None = None
    user: str | None = None
    env: dict[str, str] = {}
    secrets: list[str] = []
