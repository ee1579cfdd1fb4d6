"""What the rank of a service that runs over several hosts says of itself and the others (see `rank`)."""

from __future__ import annotations

from typing import NamedTuple

from provision.host.light import plainjson
from provision.host.services.nodes import rank
from provision.host.state import durable
from provision.wire.nodes import Node

HINT = "look at its log on that node; a firewall may be between the nodes"


class State(NamedTuple):
    """What a rank does.

    Args:
        phase: `waiting` for other ranks, `starting` or `serving`.
        missing: the ranks that it waits for, in words.
        why: why it cannot reach the head.
    """

    phase: str
    missing: list[str]
    why: str

    @property
    def waits(self) -> bool:
        """Whether it waits for other ranks."""
        return self.phase == rank.WAITING

    @property
    def serves(self) -> bool:
        """Whether the head takes requests."""
        return self.phase == rank.SERVING

    @property
    def text(self) -> str:
        """All that in words."""
        if self.waits:
            why = f": {self.why}" if self.why else ""
            return f"waits for {', '.join(self.missing) or 'the other nodes'}{why}"
        return "serving" if self.serves else "starting"


def read(node: Node, pid: int | None) -> State | None:
    """Return what the rank of a node has said last; None when the process that runs now has said nothing.

    Args:
        node: which one.
        pid: of its service's main process.
    """
    text = durable.read(node.state)
    if text is None or pid is None:
        return None
    try:
        found = plainjson.loads(text)
        return State(found["phase"], found["missing"], found["why"]) if found["pid"] == pid else None
    except (ValueError, KeyError, TypeError):
        return None
