"""A node of a service that runs over several hosts."""

from __future__ import annotations

from provision.wire.record import Record


class Node(Record):
    """Which node this is, and how it is told what becomes of the others.

    - `names`: of the hosts, by rank; the first is the head
    - `rank`: that of this host
    - `state`: the file in which its rank says what it does
    """

    names: list[str]
    rank: int
    state: str
