"""What the rank of a service that runs over several hosts says of itself and the others (see `rank`)."""

from __future__ import annotations

from provision.host.state import durable
from provision.wire import plainjson
from provision.wire.nodes import Node, Seen

WAITING, SERVING = "waiting", "serving"
"""As `rank` writes them; what is between the two is `starting`."""

DIFFERS = " has Ray "
"""In what a node of a Ray cluster says whose Ray or Python is not that of the head."""

SAME = "pin the same Ray, and give the environments the same Python"

HINT = "look at its log on that node; a firewall may be between the nodes"


def seen(node: Node, pid: int | None) -> Seen:
    """Return how a node is.

    Args:
        node: which one.
        pid: of its service's main process: what an earlier one has said does not count.
    """
    known = Seen(names=node.names, rank=node.rank, phase=None, missing=[], why="")
    text = durable.read(node.state)
    if text is None or pid is None:
        return known
    try:
        found = plainjson.loads(text)
        if found["pid"] != pid:
            return known
        return known.replace(phase=found["phase"], missing=found["missing"], why=found["why"])
    except (ValueError, KeyError, TypeError):
        return known


def said(node: Seen) -> str:
    """Return what a node does, in words."""
    if node.phase is None:
        return "its rank has not said anything yet"
    if node.phase != WAITING:
        return node.phase
    why = f": {node.why}" if node.why else ""
    return f"waits for {', '.join(node.missing) or 'the other nodes'}{why}"
