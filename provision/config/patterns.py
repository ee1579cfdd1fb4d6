"""Which hosts a pattern means: names, groups, `all`, globs, ranges; lists, `a:b` and `a,b` join.

`!` takes away, and `&` keeps only what is in both.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from fnmatch import fnmatchcase

from provision.config.problems import ConfigError, Position, closest, did_you_mean, failure, quoted
from provision.config.ranges import expand, is_range

ALL = "all"
NO_HOSTS = "name them in inventories/hosts.yml (`provision init` writes one), or name an inventory with -i"
"""The way out where there are no hosts."""
_GLOB = re.compile(r"[*?\[]")
_BETWEEN = re.compile(r"[:,](?![^\[]*\])")
"""What stands between two parts: not the colon of a range."""


def parts_of(pattern: str | Sequence[str]) -> list[str]:
    """The single parts of a pattern."""
    texts = [pattern] if isinstance(pattern, str) else pattern
    return [part.strip() for text in texts for part in _BETWEEN.split(text) if part.strip()]


def select(
    pattern: str | Sequence[str],
    hosts: Iterable[str],
    groups: Mapping[str, Iterable[str]],
    implicit: Iterable[str] = (),
    position: Position | None = None,
) -> list[str]:
    """The names of the hosts that a pattern means, in the order of the inventory.

    Args:
        pattern: one text or several.
        hosts: all names that `all` and globs look among.
        groups: each group's hosts.
        implicit: hosts that are meant only by their full name.
        position: where the pattern was written, for messages.

    Raises:
        ConfigError: a part, or the whole, matches no host.
    """
    names = list(hosts)
    hidden = [name for name in implicit if name not in names]
    parts = parts_of(pattern)
    if not parts:
        raise failure("no-hosts", "the host pattern is empty", position, "name a host, a group, or all")
    chosen: set[str] = set()
    excluded: set[str] = set()
    kept: set[str] | None = None
    for part in parts:
        sign = part[0] if part[0] in "!&" else ""
        meant = _meant_by(part.removeprefix(sign).strip(), names, groups, hidden, position)
        if not meant and not sign:
            raise failure("no-hosts", f"the group {quoted(part)} has no hosts", position)
        if sign == "&":
            kept = set(meant) if kept is None else kept & set(meant)
        else:
            (excluded if sign else chosen).update(meant)
    if all(part[0] in "!&" for part in parts):
        chosen.update(names)
    if kept is not None:
        chosen &= kept
    result = [name for name in [*names, *hidden] if name in chosen - excluded]
    if not result:
        raise failure("no-hosts", f"the host pattern {quoted(', '.join(parts))} matches no host", position)
    return result


def _meant_by(
    part: str,
    names: list[str],
    groups: Mapping[str, Iterable[str]],
    hidden: list[str],
    position: Position | None,
) -> list[str]:
    if part == ALL:
        if not names:
            raise failure("no-hosts", "`all` matches no host: the inventory has none", position, NO_HOSTS)
        return names
    if part in groups:
        return list(groups[part])
    if part in names or part in hidden:
        return [part]
    if is_range(part):
        return _in_range(part, names, groups, position)
    if _GLOB.search(part):
        matching = [group for group in groups if fnmatchcase(group, part)]
        matches = [name for name in names if fnmatchcase(name, part)]
        matches += [name for group in matching for name in groups[group]]
        if matches or matching:
            return matches
    known = [*names, *groups, *hidden, ALL]
    hint = did_you_mean(part, known, "hosts and groups")
    if not names and not closest(part, known):
        hint = f"the inventory has no hosts: {NO_HOSTS}"
    raise failure("unknown-host", f"no host or group matches {quoted(part)}", position, hint)


def _in_range(
    part: str, names: list[str], groups: Mapping[str, Iterable[str]], position: Position | None
) -> list[str]:
    try:
        meant = expand(part)
    except ConfigError as error:
        raise error.at(position) from None
    known = set(names)
    missing = [name for name in meant if name not in known and name not in groups]
    if missing:
        raise failure(
            "unknown-host",
            f"no host or group is called {quoted(missing[0])}, which is part of {quoted(part)}",
            position,
            did_you_mean(missing[0], [*names, *groups], "hosts and groups"),
        )
    return [host for name in meant for host in ([name] if name in known else groups[name])]
