"""Groups of hosts: membership through child groups, and the order in which their variables apply."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase

from provision.config.circles import circles
from provision.config.problems import Position, Problems, did_you_mean, quoted
from provision.config.ranges import expand
from provision.config.setting import Level

_GLOB = re.compile(r"[*?\[]")


@dataclass(kw_only=True)
class Group(Level):
    """A group as the files declare it; each reference has its place."""

    name: str
    position: Position
    hosts: list[tuple[str, Position]] = field(default_factory=list)
    children: list[tuple[str, Position]] = field(default_factory=list)
    priority: int = 1
    """Among groups of Ansible that are equally deep, the higher wins."""
    of_ansible: bool = False
    """Whether it comes from an Ansible inventory, where of two groups that disagree one wins."""


def members(groups: Mapping[str, Group], hosts: list[str], problems: Problems) -> dict[str, list[str]]:
    """Each group's hosts, those of child groups included, in the inventory's order."""
    own = {name: _own_members(group, hosts, problems) for name, group in groups.items()}
    for group in groups.values():
        for child, position in group.children:
            if child not in groups:
                hint = did_you_mean(child, groups, "groups")
                problems.add("unknown-group", position, f"there is no group {quoted(child)}", hint)
    below = {name: [child for child, _ in group.children] for name, group in groups.items()}
    for chain in circles(below):
        message = f"the groups {' → '.join(chain)} form a circle"
        problems.add("circular-reference", groups[chain[0]].position, message)
    found: dict[str, list[str]] = {}
    for name in groups:
        names = set().union(*(own[below] for below in descendants(groups, name)))
        found[name] = [host for host in hosts if host in names]
    return found


def _own_members(group: Group, hosts: list[str], problems: Problems) -> set[str]:
    names: set[str] = set()
    known = set(hosts)
    for pattern, position in group.hosts:
        with problems.gathered(position):
            for name in expand(pattern):
                matches = _matches(name, hosts, known)
                names.update(matches)
                if not matches:
                    what = "no host matches" if _GLOB.search(name) else "there is no host"
                    hint = did_you_mean(name, hosts, "hosts")
                    problems.add("unknown-host", position, f"{what} {quoted(name)}", hint)
                    break
    return names


def _matches(pattern: str, hosts: list[str], known: set[str]) -> list[str]:
    if pattern in known or not _GLOB.search(pattern):
        return [pattern] if pattern in known else []
    return [host for host in hosts if fnmatchcase(host, pattern)]


def descendants(groups: Mapping[str, Group], name: str) -> set[str]:
    """A group and all groups below it."""
    found: set[str] = set()
    waiting = [name]
    while waiting:
        group = waiting.pop()
        if group in groups and group not in found:
            found.add(group)
            waiting += [child for child, _ in groups[group].children]
    return found


class Order:
    """Which of the groups of a host is the stronger: a child over its parents, however far above."""

    def __init__(self, groups: Mapping[str, Group]) -> None:
        self._groups = groups
        self._parents: dict[str, list[str]] = {name: [] for name in groups}
        for name, group in groups.items():
            for child, _ in group.children:
                self._parents[child].append(name)
        self._above: dict[str, frozenset[str]] = {}
        self._depth: dict[str, int] = {}

    def above(self, name: str) -> frozenset[str]:
        """All groups above a group."""
        if name not in self._above:
            parents = self._parents[name]
            self._above[name] = frozenset(parents).union(*(self.above(parent) for parent in parents))
        return self._above[name]

    def sorted(self, names: Iterable[str]) -> list[str]:
        """The groups, the stronger later: by depth, then as Ansible does, by priority and name."""
        return sorted(names, key=lambda name: (self._depth_of(name), self._groups[name].priority, name))

    def _depth_of(self, name: str) -> int:
        if name not in self._depth:
            self._depth[name] = 1 + max((self._depth_of(parent) for parent in self._parents[name]), default=0)
        return self._depth[name]
