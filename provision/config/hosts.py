"""One machine, as an inventory has it."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import field, replace
from typing import TYPE_CHECKING, Literal

from provision.dataclass import dataclass
from provision.wire.finding import Finding

if TYPE_CHECKING:
    from provision.config.problems import Position
    from provision.config.setting import Setting
    from provision.config.variables import Facts, Variable

PREFIX = "/opt/provision"
"""Where things go on a host where root may be used."""

USER_PREFIX = "~/.local/share/provision"
"""Where things go on this machine without root."""

SYSTEMD = "/run/systemd/system"
"""A directory that is there where systemd manages the machine (the test that sd_booted(3) names)."""

Connection = Literal["local", "ssh", "container"]


@dataclass(frozen=True)
class Host:
    """One machine, as the inventory has it."""

    name: str
    connection: Connection
    address: str | None = None
    port: int | None = None
    user: str | None = None
    become: bool = False
    identity_file: str | None = None
    ssh_options: list[str] = field(default_factory=list)
    python: str = "python3"
    given_prefix: str | None = None
    supervisor: Literal["systemd", "script"] | None = None
    """What keeps its services running, unless they say so themselves."""
    systemd: bool | None = None
    """Whether systemd manages it; None where only the host can tell."""
    gpus: list[str] = field(default_factory=list)
    """The GPUs that it has, such as 8xH200, in the order of their indices; empty where nothing is said."""
    engine: Literal["docker", "podman"] | None = None
    container: str | None = None
    on: str | None = None
    variables: Mapping[str, Variable] = field(default_factory=dict, repr=False)
    """The variable that wins, of those that the inventory sets."""
    overridden: Mapping[str, Sequence[Variable]] = field(default_factory=dict, repr=False)
    """What lost against it, nearest first."""
    settings: Mapping[str, Sequence[Setting]] = field(default_factory=dict, repr=False, compare=False)
    """By key, the settings of how it is reached: the one that wins, then those that lost, nearest first."""
    notes: Sequence[Finding] = field(default_factory=tuple, repr=False, compare=False)
    """What its inventory asks for and is ignored."""
    groups: list[str] = field(default_factory=list)
    """The groups it belongs to, parents included, sorted."""
    facts: Facts = field(default_factory=dict, repr=False, compare=False)
    """What templates know without a variable: `host`, `hosts` and `groups`."""
    position: Position | None = field(default=None, compare=False)

    @property
    def privileged(self) -> bool:
        """Whether root may be used on it."""
        if self.become or self.connection == "container":
            return True
        return self.user == "root" if self.connection == "ssh" else os.geteuid() == 0

    @property
    def prefix(self) -> str | None:
        """Where everything goes; None when the inventory must say so first (ssh without root)."""
        if self.given_prefix is not None:
            return self.given_prefix
        if self.connection == "local" and not self.privileged:
            return os.path.expanduser(USER_PREFIX)
        return PREFIX if self.privileged else None

    def reached(self) -> Host:
        """Return it without what only compiling needs, for those that only connect to it."""
        return replace(self, variables={}, overridden={}, facts={}, settings={})


def systemd_here() -> bool:
    """Whether systemd manages this machine."""
    return os.path.isdir(SYSTEMD)
