"""A service that systemd supervises."""

from __future__ import annotations

from provision.wire.record import Record, many
from provision.wire.server import Server


class Place(Record):
    """Where a server listens; `bind` None: on every address."""

    port: int
    bind: str | None = None


class UnitSpec(Server):
    """A unit that is enabled and runs what is declared.

    - `beside`: where it listens besides `port`
    - `follows`: the units without which it cannot run
    - `reloads`: the ids of what it reads again when it is told to reload
    """

    unit: str
    enabled: bool = True
    beside: list[Place] = many(Place, default=[])
    reloads: list[str] = []
    follows: list[str] = []
