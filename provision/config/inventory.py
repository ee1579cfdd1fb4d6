"""Hosts and groups: which machines there are, how to reach them, and the variables of each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from provision.config import patterns
from provision.config.ansible import shown_as_setting, sources_of
from provision.config.declared import Declared
from provision.config.hosts import Host
from provision.config.making import LOCALHOST, Maker
from provision.config.problems import ConfigError, Position, did_you_mean, failure, quoted
from provision.config.settings import NAMES
from provision.config.variables import Scope
from provision.wire.finding import Finding


@dataclass(frozen=True)
class Explained:
    """A variable or a setting of a host: its value, where it comes from, and what it overrides."""

    name: str
    value: Any
    origin: str
    overridden: list[tuple[Any, str]]


def explain(host: Host) -> list[Explained]:
    """Each variable of a host with its rendered value, sorted by name.

    A value that cannot be rendered without a play's variables is shown as it is written.
    """
    scope = Scope(host.variables, host.facts)
    explained = []
    for name, variable in sorted(host.variables.items()):
        if shown_as_setting(name):
            continue
        try:
            value = scope[name]
        except ConfigError:
            value = variable.value
        lost = [(other.value, other.origin) for other in host.overridden.get(name, ())]
        explained.append(Explained(name, value, variable.origin, lost))
    return explained


def explain_settings(host: Host) -> list[Explained]:
    """Each setting of how a host is reached that the inventory gives, in the order of their keys."""
    explained = []
    for key in NAMES:
        value = getattr(host, "given_prefix" if key == "prefix" else key)
        said = [host.settings[name] for name in sources_of(key) if name in host.settings]
        if not said or value in (None, []):
            continue
        # Ansible's arguments for ssh come from several settings, and none of them overrides another.
        origins = dict.fromkeys(setting.origin for setting, *_ in said)
        lost = [(setting.value, setting.origin) for _, *rest in said for setting in rest]
        explained.append(Explained(key, value, ", ".join(origins), lost))
    return explained


class Inventory:
    """All hosts and groups."""

    def __init__(
        self,
        hosts: dict[str, Host],
        groups: dict[str, list[str]],
        implicit: Host | None,
        notes: Sequence[Finding] = (),
    ) -> None:
        self.notes = notes
        """What of the inventories could not be used, except for what the notes of single hosts say."""
        self.hosts = hosts
        """Hosts by name, in the order they are written; `localhost` only when it is defined."""
        self.groups = groups
        """Names of the hosts of each group, those of its child groups included."""
        self._implicit = implicit

    @classmethod
    def empty(cls) -> Inventory:
        """An inventory that knows only `localhost`."""
        return cls(*Maker(Declared({})).made())

    def select(self, pattern: str | Sequence[str], position: Position | None = None) -> list[Host]:
        """The hosts that a pattern means, in the inventory's order; `position` is where it was written.

        Raises:
            ConfigError: it, or a part of it, matches no host.
        """
        hidden = [self._implicit.name] if self._implicit else []
        return [
            self.host(name) for name in patterns.select(pattern, self.hosts, self.groups, hidden, position)
        ]

    def host(self, name: str) -> Host:
        """The host of this name.

        Raises:
            ConfigError: there is none.
        """
        if name in self.hosts:
            return self.hosts[name]
        if self._implicit is not None and name == self._implicit.name:
            return self._implicit
        raise failure(
            "unknown-host",
            f"there is no host {quoted(name)}",
            None,
            did_you_mean(name, [*self.hosts, LOCALHOST], "hosts"),
        )


def load_inventories(
    paths: Sequence[Path] | None,
    project: Path,
    extra_vars: Mapping[str, Any] | None = None,
    playbooks: Sequence[str] = (),
) -> Inventory:
    """Read and merge inventories.

    Args:
        paths: YAML files, executables that print JSON, Ansible inventories, or directories of them.
            None: the project's `inventories/`, which need not exist.
        project: the project's directory.
        extra_vars: variables above every other level.
        playbooks: names of the playbooks that are worked on.

    Raises:
        ConfigError: everything that is wrong in all of them.
    """
    declared = Declared(extra_vars or {})
    declared.read_all(paths, project)
    return Inventory(*Maker(declared, playbooks).made())
