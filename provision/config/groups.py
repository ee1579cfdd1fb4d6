"""Groups of hosts: membership through child groups, and the order in which their variables apply."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase

from provision.config.problems import ConfigError, Position, Problem, did_you_mean, quoted
from provision.config.ranges import expand, is_range
from provision.config.setting import Setting
from provision.config.variables import Variable

_GLOB = re.compile(r"[*?\[]")


@dataclass
class Group:
    """A group as the files declare it; each reference has its place."""

    name: str
    position: Position
    hosts: list[tuple[str, Position]] = field(default_factory=list)
    children: list[tuple[str, Position]] = field(default_factory=list)
    variables: dict[str, Variable] = field(default_factory=dict)
    settings: dict[str, Setting] = field(default_factory=dict)
    priority: int = 1
    """Among groups of Ansible's that are equally deep, the higher wins."""
    of_ansible: bool = False
    """Whether it comes from an inventory of Ansible's, where of two groups that disagree one wins."""


def members(groups: Mapping[str, Group], hosts: list[str], problems: list[Problem]) -> dict[str, list[str]]:
    """Each group's hosts, those of child groups included, in the inventory's order."""
    own = {name: _own_members(group, hosts, problems) for name, group in groups.items()}
    circular = False
    for group in groups.values():
        for child, position in group.children:
            if child not in groups:
                problems.append(
                    Problem(
                        "unknown-group",
                        position,
                        f"there is no group {quoted(child)}",
                        did_you_mean(child, groups, "groups"),
                    )
                )
        way = _way_back(groups, group.name)
        if way is not None and not circular:
            circular = True
            problems.append(
                Problem(
                    "circular-reference", group.position, f"the groups {' → '.join(way)} go round in a circle"
                )
            )
    found: dict[str, list[str]] = {}
    for name in groups:
        names = set().union(*(own[below] for below in descendants(groups, name)))
        found[name] = [host for host in hosts if host in names]
    return found


def _own_members(group: Group, hosts: list[str], problems: list[Problem]) -> set[str]:
    names: set[str] = set()
    known = set(hosts)
    for pattern, position in group.hosts:
        try:
            meant = expand(pattern) if is_range(pattern) else [pattern]
        except ConfigError as error:
            problems += error.at(position).problems
            continue
        for each in meant:
            matches = _matches(each, hosts, known)
            names.update(matches)
            if not matches:
                what = "no host matches" if _GLOB.search(each) else "there is no host"
                problems.append(
                    Problem(
                        "unknown-host", position, f"{what} {quoted(each)}", did_you_mean(each, hosts, "hosts")
                    )
                )
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


def _way_back(groups: Mapping[str, Group], start: str) -> list[str] | None:
    ways = [[start]]
    seen: set[str] = set()
    while ways:
        way = ways.pop()
        for child, _ in groups[way[-1]].children if way[-1] in groups else []:
            if child == start:
                return [*way, start]
            if child not in seen:
                seen.add(child)
                ways.append([*way, child])
    return None
