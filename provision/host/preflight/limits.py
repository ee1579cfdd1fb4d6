"""Whether a service that inherits the limits of the login can work with them; systemd sets its own."""

from __future__ import annotations

import os
import resource

from provision.host.preflight.scene import Found, Scene
from provision.wire.finding import warning

CODE = "low-limit"

FILES = 4096
"""Open files below which a busy server soon fails: one for each connection, and hundreds for libraries."""

INFINIBAND = "/sys/class/infiniband"
"""Where adapters are listed: NCCL locks memory for them."""

RAISE = "raise `{}` in /etc/security/limits.conf, or let systemd supervise it"


def findings(scene: Scene) -> Found:
    """Return for each service that a script starts which limit is too low."""
    found: Found = []
    files = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    locked = resource.getrlimit(resource.RLIMIT_MEMLOCK)[0]
    for item in scene.changing():
        if not item.resource.inherits_limits:
            continue
        if files not in (-1, resource.RLIM_INFINITY) and files < FILES:
            message = f"{item.label} could open only {files} files, and a server needs more"
            found.append((item, warning(CODE, message, RAISE.format("nofile")).at("supervisor")))
        demands = item.resource.demands(item.changes)
        limited = locked not in (-1, resource.RLIM_INFINITY)
        if demands and demands.gpus > 1 and limited and os.path.isdir(INFINIBAND) and os.listdir(INFINIBAND):
            message = f"{item.label} could lock only {locked >> 10} kB of memory, and InfiniBand needs more"
            found.append((item, warning(CODE, message, RAISE.format("memlock")).at("supervisor")))
    return found
