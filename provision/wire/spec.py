"""What the records of all resource types have in common."""

from __future__ import annotations

from typing import ClassVar

from provision.wire.record import Record


class Spec(Record):
    """What one resource is to be."""

    USERS: ClassVar[tuple[str, ...]] = ()
    """The fields that name users of the host, who have to be there before it."""

    GROUPS: ClassVar[tuple[str, ...]] = ()
    """The fields that name groups of the host, which have to be there before it."""


class Placed(Spec):
    """What is at one `path` of the host: a file, or a directory."""

    path: str


class Supervised(Spec):
    """A service, and what supervises it: a systemd unit, a script with log and pid file, or an engine.

    - `service`: name of the service
    - `unit`: the systemd unit; None where systemd does not supervise it
    - `container`: the container that it is, and its `engine`, docker or podman (None: the one that is there)
    - `log`, `pid_file`: where a script that supervises it keeps these
    """

    service: str
    unit: str | None = None
    container: str | None = None
    engine: str | None = None
    log: str | None = None
    pid_file: str | None = None
