"""A file."""

from __future__ import annotations

from provision.wire.cases import Cases
from provision.wire.record import one
from provision.wire.spec import Spec


class FileSpec(Spec):
    """A file with its content.

    - `content`: the whole text; with `cases` the one that holds until a version is installed
    - `owner`, `group`, `mode` (octal, as text): None: not looked at
    - `secret`: its content is never shown
    - `validate`: the check that the new content has to pass first: `systemd`, `json`, …
    - `quiet`: a regular expression for lines of which a change restarts nothing
    - `absent`: it must not be there
    """

    path: str
    content: str
    owner: str | None = None
    group: str | None = None
    mode: str | None = None
    secret: bool = False
    validate: str | None = None
    cases: Cases | None = one(Cases, default=None)
    quiet: str | None = None
    absent: bool = False
