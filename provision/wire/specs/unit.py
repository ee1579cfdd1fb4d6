"""A service that systemd supervises."""

from __future__ import annotations

from provision.wire.server import Server


class UnitSpec(Server):
    """A unit that is enabled and runs what is declared.

    - `reloads`: the ids of what it reads again when it is told to reload
    """

    unit: str
    enabled: bool = True
    reloads: list[str] = []
