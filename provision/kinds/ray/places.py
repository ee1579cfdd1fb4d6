"""Where the node of a Ray cluster keeps things on its host, and where others reach its head."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from provision.config.hosts import Host
    from provision.kinds.ray.fields import RayService


def own(name: str, file: str) -> str:
    """Return a path in the directory that the service writes to, as systemd supervises it."""
    return f"/var/lib/provision/{name}/{file}"  # the StateDirectory= of its unit


def state(name: str) -> str:
    """Return the file in which a node says what it does."""
    return own(name, "node.json")


def address(service: RayService, head: Host) -> str | None:
    """Return where the other nodes reach the head; None where nobody says it."""
    given = service.addresses.get(head.name)
    if given is None and head.connection != "ssh":
        return None
    return (given or head.address or head.name).strip("[]")
