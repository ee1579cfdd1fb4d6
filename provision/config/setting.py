"""One key by which a host is reached, as it is written."""

from __future__ import annotations

from dataclasses import dataclass

from provision.config.documents import Part
from provision.config.problems import Position
from provision.config.variables import Variable


@dataclass(frozen=True)
class Setting:
    """One key by which a host is reached, as it is written.

    Args:
        key: ours, one of `NAMES`; for an unknown one, as it is written.
        written: the key as it is written: ours, or Ansible's.
        variable: its value, where that stands, and of which level it is.
        own: whether the host itself says so, in our words; what it says must then have a meaning for it.
    """

    key: str
    written: str
    variable: Variable
    own: bool = False

    @property
    def of_ansible(self) -> bool:
        """Whether it is written in Ansible's words."""
        return self.written != self.key

    def position(self, loc: tuple[Part, ...] = (), key: bool = False) -> Position | None:
        """Where the part `loc` of its value stands, or its key."""
        variable = self.variable
        if variable.document is None or not key:
            return variable.at(loc)
        return variable.document.where((*variable.loc, *loc), key=True)
