"""What is said at one level of an inventory: how hosts are reached, and variables."""

from __future__ import annotations

from dataclasses import dataclass, field

from provision.config.variables import Variable
from provision.wire.finding import Finding


@dataclass(frozen=True, kw_only=True)
class Setting(Variable):
    """One key by which a host is reached.

    Args:
        key: ours, one of `NAMES`; for an unknown one, as it is written.
        written: the key as it is written: ours, or Ansible's.
        own: whether the host itself says so, in our words; what it says must then have a meaning for it.
    """

    key: str
    written: str
    own: bool = False

    @property
    def of_ansible(self) -> bool:
        """Whether it is written in Ansible's words."""
        return self.written != self.key


@dataclass(kw_only=True)
class Level:
    """What is said at one level: of all hosts, of a group, or of a host."""

    whose: str = "all hosts"
    """What messages call it: "all hosts", "group `gpu`" or "host `gpu-1`"."""
    settings: dict[str, Setting] = field(default_factory=dict)
    """How the hosts are reached, by our key."""
    variables: dict[str, Variable] = field(default_factory=dict)
    notes: list[Finding] = field(default_factory=list)
    """What it asks for and cannot have."""


def called(name: str, variable: Variable) -> str:
    """What messages call a variable or a setting."""
    return f"`{variable.written}`" if isinstance(variable, Setting) else f"the variable `{name}`"
