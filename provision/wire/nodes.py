"""A node of a service that runs over several hosts."""

from __future__ import annotations

from provision.wire.record import Record, one


class Node(Record):
    """Which node this is, and how it is told what becomes of the others.

    - `names`: of the hosts, by rank; the first is the head
    - `rank`: that of this host
    - `state`: the file in which its rank says what it does
    - `joins`: each node joins by itself, so that some can be changed without the others
    """

    names: list[str]
    rank: int
    state: str
    joins: bool = False


class Closed(Record):
    """What the firewall of a service does.

    - `let_in`: the addresses of all nodes, which alone reach the closed ports
    - `first`, `last`: of the ports that programs get when they ask for any
    - `spared`: ports that stay open to everybody
    """

    let_in: list[str]
    first: int
    last: int
    spared: list[int]


class Meeting(Record):
    """What the nodes of a service compare, and try, before it stops or starts anywhere.

    - `address`: where the other nodes reach this host, as far as the inventory tells; None where it does not
    - `interface`: the one between the nodes; None: whichever
    - `ports`: those that this node opens for the others
    - `environment`: the directory of its environment
    - `models`: the directories of its models, by name
    - `closed`: what the firewall between the nodes and all others closes; None without one
    """

    node: Node = one(Node)
    address: str | None
    interface: str | None
    ports: list[int]
    environment: str | None
    models: dict[str, str]
    closed: Closed | None = one(Closed, default=None)


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
