"""A service that systemd supervises."""

from __future__ import annotations

from provision.wire.server import Server


class UnitSpec(Server):
    """A unit that is enabled and runs what is declared."""

    unit: str
    enabled: bool = True
