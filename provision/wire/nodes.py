"""A node of a service that runs over several hosts."""

from __future__ import annotations

from provision.wire.record import Record, one


class Node(Record):
    """Which node this is, and how it is told what becomes of the others.

    - `names`: of the hosts, by rank; the first is the head
    - `rank`: that of this host
    - `state`: the file in which its rank says what it does
    """

    names: list[str]
    rank: int
    state: str


class Meeting(Record):
    """What the nodes of a service compare, and try, before it stops or starts anywhere.

    - `address`: where the other nodes reach this host, as far as the inventory tells; None where it does not
    - `interface`: the one between the nodes; None: whichever
    - `ports`: those that this node opens for the others
    - `environment`: the directory of its environment
    - `models`: the directories of its models, by name
    """

    node: Node = one(Node)
    address: str | None
    interface: str | None
    ports: list[int]
    environment: str | None
    models: dict[str, str]


class Peer(Record):
    """Another node, and where it can be reached now."""

    host: str
    address: str
    ports: list[int]


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
