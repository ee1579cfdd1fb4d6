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
        "port-taken",
        r"Failed to start the grpc server\. The specified port is (\d+)",
        "port {0} is taken on that host: stop what listens there, or give the cluster another `port`",
    ),
    Known(
        "nodes-differ",
        r"Could not read 'temp_dir' from GCS|Version mismatch: The cluster was started with",
        "the head has another Ray or Python: pin the same Ray, and give the environments the same Python",
    ),
    Known(
        "unreachable-node",
        r"Session name \S+ does not match persisted value",
        "another Ray answers at the port of this head: stop it, or give the cluster another `port`",
    ),
    Known(
        "unreachable-node",
        r"provision: \S+: ends: (\S+ does not (?:answer|know this node|count this node)[^\n]*)",
        "{0}: look whether it runs there, and whether a firewall is between the nodes",
    ),
    Known(
        "gpu-count",
        r"Cannot provide a placement group requiring (\d+) GPUs",
        "the cluster has no {0} free GPUs: `ray status` on the head says who has them",
    ),
    Known(
        "unreachable-node",
        r"provision: \S+: ends: (there is no interface [^\n]*|no interface has [^\n]*)",
        "{0}: name the interface between the nodes in `nodes`",
    ),
)
