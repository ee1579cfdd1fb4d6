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


class LockedPackages(Record):
    """The versions that packages have come to, for one kind of host.

    - `lock`: the file that says so, for people; empty: as it was found
    - `system`: the distribution and its release, such as `debian 12`; `machine`: such as x86_64
    - `versions`: by name; None: of a virtual package, which has none
    """

    lock: str = ""
    system: str
    machine: str
    versions: dict[str, str | None]


class AptSpec(Spec):
    """The packages that have to be installed.

    `locked`: what locks have, for each kind of host; empty: nothing is locked.
    """

    packages: list[Package] = many(Package)
    locked: list[LockedPackages] = many(LockedPackages, default=[])
