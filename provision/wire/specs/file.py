"""A file."""

from __future__ import annotations

from typing import ClassVar

from provision.wire.cases import Cases
from provision.wire.record import one
from provision.wire.spec import Placed


class FileSpec(Placed):
    """A file with its content.

    - `content`: the whole text; with `cases` the one that holds until a version is installed
    - `options`: those of the command that a start script runs, each with its values
    - `owner`, `group`: None: not checked
    - `mode`: octal, as text
    - `secret`: its content is never shown
    - `validate`: what has to accept the new content first: `systemd`, or a command; `{path}` in it stands for
      a copy of the file
    - `quiet`: a regular expression for lines of which a change restarts nothing
    - `absent`: it must not be there
    """

    USERS: ClassVar[tuple[str, ...]] = ("owner",)
    GROUPS: ClassVar[tuple[str, ...]] = ("group",)
    content: str = ""
    options: list[list[str]] = []
    owner: str | None = None
    group: str | None = None
    mode: str = "0644"
    secret: bool = False
    validate: str | list[str] | None = None
    cases: Cases | None = one(Cases, default=None)
    quiet: str | None = None
    absent: bool = False
