"""How to ask a program whether it would start as declared."""

from __future__ import annotations

from provision.wire.cases import Cases
from provision.wire.record import Record, one


class Preflight(Record):
    """A question that a program answers by its exit code: 0 yes, 2 no; any other says nothing.

    - `program`: what asks; `arguments`: what it asks about, with `cases` by the installed version
    - `env`: variables; no secrets
    - `user`: None: whoever runs this
    - `timeout`: seconds
    """

    program: list[str]
    arguments: list[str]
    cases: Cases | None = one(Cases, default=None)
    env: dict[str, str]
    user: str | None
    timeout: float
