"""An inventory in Ansible's JSON, as a program or `ansible-inventory` prints it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from provision.config.problems import Position, Problems, did_you_mean

_KEYS = ("hosts", "children", "vars")
"""The keys of a group."""


@dataclass(frozen=True)
class PrintedGroup:
    """A group, as a program or `ansible-inventory` prints it."""

    hosts: list[str] = field(default_factory=list)
    children: list[str] = field(default_factory=list)
    variables: dict[str, Any] = field(default_factory=dict)


class Printed:
    """An inventory in Ansible's JSON: what `--list` prints.

    Args:
        data: the object that was printed.
        position: where messages point to; the output has no lines that a reader could look up.
        problems: receives what is wrong.
    """

    def __init__(self, data: dict[str, Any], position: Position, problems: Problems) -> None:
        self.position = position
        self._problems = problems
        meta = self._mapping(data.get("_meta"), "_meta")
        given = meta.get("hostvars")
        self.complete = given is not None
        """Whether the variables of all hosts were printed along; else each host is asked for."""
        variables = self._mapping(given, "_meta.hostvars")
        self.hosts = {name: self._mapping(own, name) for name, own in variables.items()}
        """The variables of each host."""
        self.groups: dict[str, PrintedGroup] = {}
        self.variables: dict[str, Any] = {}
        """The variables of all hosts."""
        for name, group in data.items():
            if name != "_meta":
                self._add(name, group)
        for group in list(self.groups.values()):
            for child in group.children:
                self.groups.setdefault(child, PrintedGroup())

    def _add(self, name: str, group: Any) -> None:
        fields = {"hosts": group} if isinstance(group, list) else self._mapping(group, name)
        for key in fields:
            if key not in _KEYS:
                hint = did_you_mean(key, _KEYS)
                self._problem(f"prints JSON in which the group `{name}` has the unknown key `{key}`", hint)
        hosts = self._names(fields.get("hosts"), f"{name}.hosts")
        for host in hosts:
            self.hosts.setdefault(host, {})
        children = self._names(fields.get("children"), f"{name}.children")
        variables = self._mapping(fields.get("vars"), f"{name}.vars")
        if name == "all":
            self.variables = variables
            children, hosts = [], []
        if name not in ("all", "ungrouped"):
            real = [child for child in children if child != "ungrouped"]
            self.groups[name] = PrintedGroup(hosts, real, variables)

    def _problem(self, message: str, hint: str | None = None) -> None:
        self._problems.add("dynamic-inventory", self.position, message, hint)

    def _mapping(self, value: Any, what: str) -> dict[str, Any]:
        if value is None or isinstance(value, dict):
            return value or {}
        self._problem(f"prints JSON in which `{what}` is not an object")
        return {}

    def _names(self, value: Any, what: str) -> list[str]:
        if value is None or (isinstance(value, list) and all(isinstance(name, str) for name in value)):
            return value or []
        self._problem(f"prints JSON in which `{what}` is not a list of names")
        return []
