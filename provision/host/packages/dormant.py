"""Units that packages bring and that are not to run: their service is run by a unit of our own."""

from __future__ import annotations

from contextlib import contextmanager
from typing import Iterator, Sequence

from provision.host.machine import Machine
from provision.host.services import systemd

LIMIT = 60.0
"""Seconds for one call of systemctl."""


@contextmanager
def kept_asleep(machine: Machine, units: Sequence[str]) -> Iterator[None]:
    """Have an installation inside the block neither start nor enable these units.

    The mask is one for this boot only, so that a run that is killed here leaves nothing masked for ever.
    """
    if not units or not systemd.running():
        yield
        return
    machine.run(["systemctl", "mask", "--runtime", *units], timeout=LIMIT)
    try:
        yield
    finally:
        machine.run(["systemctl", "unmask", "--runtime", *units], timeout=LIMIT, check=False)
        machine.run(["systemctl", "disable", *units], timeout=LIMIT, check=False)
