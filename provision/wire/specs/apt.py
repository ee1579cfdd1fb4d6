"""Packages of the distribution."""

from __future__ import annotations

from provision.wire.record import Record, many
from provision.wire.spec import Spec


class Package(Record):
    """One package.

    - `version`: None: any will do
    - `dormant`: a unit that it brings and that is neither started nor enabled when it is installed for us
    """

    name: str
    version: str | None = None
    dormant: str | None = None


class AptSpec(Spec):
    """The packages that have to be installed."""

    packages: list[Package] = many(Package)
