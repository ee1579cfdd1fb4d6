"""The servers of a gateway, for a person: which get requests, and for what one is out of rotation."""

from __future__ import annotations

import os
import time

from provision.host.machine import Machine
from provision.host.services.gateways import haproxy_admin, keepers
from provision.wire import statuses


def servers(machine: Machine, gateway: str) -> list[statuses.ServerStatus]:
    """Return the servers of a gateway; none where it does not run, and for a service that is no gateway."""
    path = keepers.socket(gateway)
    if not os.path.exists(path):
        return []
    try:
        found, known = haproxy_admin.servers(path), haproxy_admin.standings(path)
    except haproxy_admin.AdminError:
        return []
    told = []
    for each in found:
        standing = known.get((each.backend, each.name))
        status = statuses.ServerStatus(
            service=each.backend,
            host=each.name,
            state="up" if each.up else "down",
            running=each.sessions,
        )
        if standing is not None and standing.out:
            status.state = "out"
            since = keepers.Keeper(machine, gateway, each.backend, each.name).since()
            if since is not None:
                status.since, status.why = round(time.time() - since[0], 1), since[1]
        told.append(status)
    return told
