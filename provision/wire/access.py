"""What a service is told to read and write, looked at before a start: whether its user can."""

from __future__ import annotations

from provision.wire.record import Record, many


class Written(Record):
    """A path that a service writes to.

    - `because`: the variable or key of the service that names it
    - `said`: the playbook says that it is written to; else only its name does
    - `made`: a declared directory is at it or above it, in which it can be made
    """

    path: str
    because: str
    said: bool
    made: bool


class Access(Record):
    """What `user` has to be able to read and write."""

    user: str
    read: list[str]
    write: list[Written] = many(Written)
