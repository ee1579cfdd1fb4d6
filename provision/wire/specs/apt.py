"""Packages of the distribution."""

from __future__ import annotations

from provision.wire.record import Record, many
from provision.wire.spec import Spec


class Package(Record):
    """One package; `version` None: any will do."""

    name: str
    version: str | None = None


class AptSpec(Spec):
    """The packages that have to be installed."""

    packages: list[Package] = many(Package)
