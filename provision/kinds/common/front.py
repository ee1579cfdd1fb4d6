"""What passes requests to services: who takes one of them out of its rotation has to know this."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Front:
    """A service that passes requests to others.

    Args:
        name: the service.
        upstreams: the services that it passes requests to, on every host that has them.
        keys: the file on its host with the keys that servers ask for, by service.
        drain: seconds that running requests have when a server is taken out.
        queue: seconds that requests wait while no server is up; None: they are refused at once.
    """

    name: str
    upstreams: Sequence[str]
    keys: str
    drain: float
    queue: float | None
