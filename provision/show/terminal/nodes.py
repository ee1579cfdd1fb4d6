"""The nodes of services that run over several hosts: one line for all of them."""

from __future__ import annotations

from collections.abc import Iterable

from provision.wire.nodes import Seen
from provision.wire.statuses import ServiceStatus

Key = tuple[str, tuple[str, ...]]
"""A service, and its nodes by rank."""


class Nodes:
    """What the nodes of all services have told.

    Args:
        told: each service that was told of, with its host.
    """

    def __init__(self, told: Iterable[tuple[str, ServiceStatus]]) -> None:
        self._told: dict[Key, dict[str, ServiceStatus]] = {}
        for host, service in told:
            if service.node is not None:
                self._told.setdefault(_key(service, service.node), {})[host] = service

    def __bool__(self) -> bool:
        """Whether there are any."""
        return bool(self._told)

    def told_by_head(self, service: ServiceStatus) -> bool:
        """Whether the line of the head says it all."""
        node = service.node
        if node is None or node.rank <= 0:
            return False
        return next(iter(node.names), None) in self._told[_key(service, node)]

    def cell(self, host: str, service: ServiceStatus) -> list[str]:
        """Return what to say of the nodes of a service, if there are any at all."""
        if not self:
            return []
        node = service.node
        if node is None:
            return ["-"]
        if node.rank:
            return [f"rank {node.rank} of {', '.join(node.names)}"]
        told = self._told[_key(service, node)]
        troubles = [f"{name} {_state(told.get(name))}" for name in node.names if not _serves(told.get(name))]
        count = f"{len(node.names) - len(troubles)} of {len(node.names)}"
        return [f"{count} ({', '.join(troubles)})" if troubles else f"{count} ({', '.join(node.names)})"]


def _key(service: ServiceStatus, node: Seen) -> Key:
    return service.service, tuple(node.names)


def _serves(service: ServiceStatus | None) -> bool:
    return service is not None and service.node is not None and service.node.phase == "serving"


def _state(service: ServiceStatus | None) -> str:
    """Return what a node does instead of serving."""
    if service is None or service.node is None:
        return "has not told"
    waits = service.node.phase == "waiting" and service.node.missing
    return f"waits for {', '.join(service.node.missing)}" if waits else service.state
