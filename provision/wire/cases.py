"""What depends on the version of a package that a host has installed, such as flags that came and went."""

from __future__ import annotations

from typing import Any

from provision.wire.finding import Finding
from provision.wire.record import Record, many, one


class Case(Record):
    """What holds from a version on: `content`, or the reason why there can be none.

    - `since`: the lowest version
    - `content`: a text, or a list of arguments
    - `options`: of a start script, as in `FileSpec`
    - `finding`: why this version will not do
    """

    since: str
    content: Any = None
    options: list[list[str]] = []
    finding: Finding | None = one(Finding, default=None)


class Cases(Record):
    """Contents by the version of a package.

    - `environment`: directory of the environment that is asked
    - `package`: the distribution; `others` count when it is not there
    - `oldest`: the lowest version of which anything is known
    - `versions`: the cases, the lowest first
    """

    environment: str
    package: str
    others: list[str]
    oldest: str
    versions: list[Case] = many(Case)
