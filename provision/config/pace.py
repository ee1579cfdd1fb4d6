"""In which order the hosts of a play are changed, as typed data that needs no model to be remembered."""

from __future__ import annotations

import re
from typing import NamedTuple


class Portion(NamedTuple):
    """A number of hosts, or a share of them in percent."""

    number: int
    percent: bool = False

    @classmethod
    def read(cls, value: object) -> Portion:
        """Read 5 or 25%.

        Raises:
            ValueError: it is neither.
        """
        if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
            return cls(value)
        match = re.fullmatch(r"(\d{1,3})%|(\d{1,6})", value) if isinstance(value, str) else None
        if match is None or (match[1] and int(match[1]) > 100):
            raise ValueError(value)
        return cls(int(match[1]), True) if match[1] else cls(int(match[2]))

    def of(self, hosts: int) -> int:
        """Return how many of `hosts` it is; a share is rounded down."""
        return hosts * self.number // 100 if self.percent else min(self.number, hosts)

    def __str__(self) -> str:
        return f"{self.number}%" if self.percent else f"{self.number}"


class Pace(NamedTuple):
    """The order of a play's hosts.

    Args:
        canary: hosts that are changed before all others.
        serial: hosts that are changed at once after that.
        max_failures: hosts that may fail before no further one is changed.
        pause: seconds after each wave.
        declared: whether the play says any of it.
    """

    canary: int
    serial: Portion
    max_failures: Portion
    pause: float
    declared: bool
