"""What is begun on hosts before it is known what they are asked.

Over a kept connection a host can start its interpreter while the request is made here: that takes 10 ms of
CPU there, and the import of what makes requests 15 ms here. Nothing is executed before the request is there;
without one the interpreter ends with this process.
"""

from __future__ import annotations

import os
from collections.abc import Iterable

from provision.connect import Connection
from provision.transport import bootstrap
from provision.transport.multiplexed import Begun, begin

MOST = 32
"""Hosts on which something is begun: as many as are worked on at once."""


class Ahead:
    """Interpreters that wait for a request, by how their kept connection was told to start them."""

    def __init__(self) -> None:
        self._begun: dict[tuple[str, str], Begun] = {}

    def begin(self, connections: Iterable[Connection]) -> None:
        """Start the interpreter on each host with a kept connection; the others are left alone.

        Args:
            connections: none whose sudo may ask for a password, as that would take what is sent for it.
        """
        for connection in connections:
            way = connection.multiplexed(bootstrap.script(connection))
            if way is None or way in self._begun:
                continue
            try:
                begun = self._begun[way] = begin(*way)
                os.write(begun.near[0], bootstrap.BOOT)
            except OSError:
                pass  # nobody listens: the run connects anew

    def take(self, way: tuple[str, str]) -> Begun | None:
        """Return what was begun in this way, once."""
        return self._begun.pop(way, None)
