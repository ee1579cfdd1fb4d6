"""Groups of hosts: membership through child groups, and the order in which their variables apply."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase

from provision.config.problems import Position, Problem, did_you_mean, quoted
from provision.config.variables import Variable


@dataclass
class Group:
    """A group as the files declare it; each reference has its place."""

    name: str
    position: Position
    hosts: list[tuple[str, Position]] = field(default_factory=list)
    children: list[tuple[str, Position]] = field(default_factory=list)
    variables: dict[str, Variable] = field(default_factory=dict)


def members(groups: Mapping[str, Group], hosts: list[str], problems: list[Problem]) -> dict[str, list[str]]:
    """Each group's hosts, those of child groups included, in the inventory's order."""
    own = {name: _own_members(group, hosts, problems) for name, group in groups.items()}
    circular = False
    for group in groups.values():
        for child, position in group.children:
            if child not in groups:
                problems.append(
                    Problem(
                        position, f"there is no group {quoted(child)}", did_you_mean(child, groups, "groups")
                    )
                )
        way = _way_back(groups, group.name)
        if way is not None and not circular:
            circular = True
            problems.append(Problem(group.position, f"the groups {' → '.join(way)} go round in a circle"))
    found: dict[str, list[str]] = {}
    for name in groups:
        names = set().union(*(own[below] for below in descendants(groups, name)))
        found[name] = [host for host in hosts if host in names]
    return found


def _own_members(group: Group, hosts: list[str], problems: list[Problem]) -> set[str]:
    names: set[str] = set()
    for pattern, position in group.hosts:
        matches = [host for host in hosts if host == pattern or fnmatchcase(host, pattern)]
        names.update(matches)
        if not matches:
            what = "no host matches" if re.search(r"[*?\[]", pattern) else "there is no host"
            problems.append(
                Problem(position, f"{what} {quoted(pattern)}", did_you_mean(pattern, hosts, "hosts"))
            )
    return names


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


def ancestors(groups: Mapping[str, Group], name: str) -> set[str]:
    """All groups above a group."""
    return {above for above in groups if above != name and name in descendants(groups, above)}


def ordered_ancestors(groups: Mapping[str, Group], names: Iterable[str]) -> list[str]:
    """The groups sorted so that each comes after those above it."""
    depth = {name: len(ancestors(groups, name)) for name in names}
    return sorted(depth, key=lambda name: (depth[name], name))


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
