"""What ends a service over several hosts although nothing is wrong on this one: see `nodes.rank`."""

from __future__ import annotations

from typing import Sequence

from provision.host.services.failures.known.known import Known

KNOWN: Sequence[Known] = (
    Known(
        "node-missing",
        r"provision: \S+: ends: the (?:program of|line to) (\S+ \(rank \d+\)) has ended(?:: ([^\n]*))?",
        "it ended because {0} did: look at the log of that node (`provision logs` shows all of them)",
    ),
    Known(
        "unreachable-node",
        r"provision: \S+: ends: (there is no interface [^\n]*|no interface has [^\n]*)",
        "{0}: name the interface between the nodes in `nodes`",
    ),
)
