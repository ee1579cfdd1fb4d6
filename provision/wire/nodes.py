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


class Seen(Record):
    """How a node is, as its rank says.

    - `names`, `rank`: as of `Node`
    - `phase`: `waiting` for others, `starting` or `serving`; None when nothing runs
    - `missing`: the nodes that it waits for; `why`: why it does not reach the head
    """

    names: list[str]
    rank: int
    phase: str | None
    missing: list[str]
    why: str
