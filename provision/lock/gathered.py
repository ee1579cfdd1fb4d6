"""From what hosts tell to locks: hosts of one kind that have come to different things cannot be locked."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

from provision.config.problems import ConfigError, Problem
from provision.lock.entries import PACKAGES, entry_of
from provision.lock.lockfile import (
    Entry,
    EnvironmentEntry,
    ImageEntry,
    Lock,
    LockedPackage,
    ModelEntry,
    PackagesEntry,
)

if TYPE_CHECKING:
    from provision.fleet.fleet import Fleet
    from provision.wire.taken import Taken

E = TypeVar("E", bound=Entry)


class Gathered:
    """The locks of playbooks, as hosts tell one after another what they have.

    Args:
        fleet: what the hosts are to have.
    """

    def __init__(self, fleet: Fleet) -> None:
        self._resources = {
            (name, each.id): each for name, catalog in fleet.catalogs.items() for each in catalog.resources
        }
        self._found: dict[str, dict[tuple[str, str], dict[tuple[str, ...], tuple[str, Entry]]]] = {}
        """By playbook, by section and name, by key: the first host that has it, and what it has."""
        self._problems: list[Problem] = []

    def take(self, taken: Taken) -> None:
        """Take what one host tells of one resource."""
        resource = self._resources[taken.host, taken.id]
        section, name, entry = entry_of(taken, resource)
        for playbook in resource.playbooks:
            there = self._found.setdefault(playbook, {}).setdefault((section, name), {})
            host, other = there.setdefault(entry.key, (taken.host, entry))
            if other is not entry:
                said = f"{host} and {taken.host}, which are of one kind"
                there[entry.key] = host, self._joined(other, entry, f"{taken.label}", said)

    def locks(self, playbooks: Iterable[str]) -> dict[str, Lock]:
        """Return the locks by playbook.

        Raises:
            ConfigError: hosts of one kind have come to different things.
        """
        if self._problems:
            raise ConfigError(self._problems)
        return {name: _lock(self._found.get(name, {})) for name in playbooks}

    def _joined(self, one: Entry, other: Entry, label: str, hosts: str) -> Entry:
        """Return what two hosts have as one entry."""

        def differ(what: str, first: object, second: object) -> None:
            message = f"{label}: {what} is {first} and {second} on {hosts}"
            hint = "make them alike, or lock what one of them has with --limit, and apply to the others"
            self._problems.append(Problem("hosts-differ", None, message, hint))

        if isinstance(one, EnvironmentEntry) and isinstance(other, EnvironmentEntry):
            first, second = (
                {name: each.version for name, each in entry.packages.items()} for entry in (one, other)
            )
            _compare(first, second, differ)
            joined = {
                name: _both(each, other.packages.get(name, each)) for name, each in one.packages.items()
            }
            return one.model_copy(update={"packages": joined})
        if isinstance(one, PackagesEntry) and isinstance(other, PackagesEntry):
            both = one.packages.keys() & other.packages.keys()
            mine, theirs = ({name: entry.packages[name] for name in both} for entry in (one, other))
            _compare(mine, theirs, differ)
            return one.model_copy(
                update={"packages": dict(sorted({**other.packages, **one.packages}.items()))}
            )
        if isinstance(one, ModelEntry) and isinstance(other, ModelEntry):
            _compare(
                one.files,
                other.files,
                lambda name, first, second: differ(name, _short(first), _short(second)),
            )
        if isinstance(one, ImageEntry) and isinstance(other, ImageEntry):
            if one.id != other.id:
                differ(one.image, _short(one.id), _short(other.id))
            return one.model_copy(update={"digests": sorted({*one.digests, *other.digests})})
        return one


def _compare(
    one: Mapping[str, Any], other: Mapping[str, Any], differ: Callable[[str, Any, Any], None]
) -> None:
    for name in sorted(one.keys() | other.keys()):
        first, second = one.get(name, "not there"), other.get(name, "not there")
        if first != second:
            differ(name, first, second)


def _both(one: LockedPackage, other: LockedPackage) -> LockedPackage:
    """Return one package as two hosts have it; their indexes may have different files of one version."""
    sha256 = sorted({*one.sha256, *other.sha256})
    return one.model_copy(update={"sha256": sha256, "unhashed": None if sha256 else one.unhashed})


def _short(sha256: str) -> str:
    return sha256.removeprefix("sha256:")[:12]


def _lock(found: Mapping[tuple[str, str], Mapping[tuple[str, ...], tuple[str, Entry]]]) -> Lock:
    sections: dict[str, Any] = {"environments": {}, "models": {}, "images": {}}
    for (section, name), entries in sorted(found.items()):
        listed = [entry for _, (_, entry) in sorted(entries.items())]
        if section == PACKAGES:
            sections[PACKAGES] = listed
        else:
            sections[section][name] = listed
    return Lock(**sections)


def updated(old: Lock | None, new: Lock, names: Iterable[str], partial: bool) -> Lock:
    """Return a lock as it is to be written.

    Args:
        old: the one that there is.
        new: what the hosts have.
        names: only these are taken from it; none: all are.
        partial: hosts are left out: what only they have stays.
    """
    if old is None:
        return new
    only = set(names)
    sections: dict[str, Any] = {
        PACKAGES: _merged(old.packages, new.packages, not only or PACKAGES in only, partial)
    }
    for section in ("environments", "models", "images"):
        before, now = getattr(old, section), getattr(new, section)
        kept = before if partial or only else {}
        merged = {
            name: _merged(before.get(name, []), now.get(name, []), not only or name in only, partial)
            for name in sorted({*kept, *now})
        }
        sections[section] = {name: entries for name, entries in merged.items() if entries}
    return Lock(**sections)


def _merged(before: list[E], now: list[E], taken: bool, partial: bool) -> list[E]:
    if not taken:
        return before
    found = {entry.key: entry for entry in now}
    for entry in before if partial else ():
        fresh = found.setdefault(entry.key, entry)
        if isinstance(fresh, PackagesEntry) and isinstance(entry, PackagesEntry):
            every = dict(sorted({**entry.packages, **fresh.packages}.items()))
            found[entry.key] = fresh.model_copy(update={"packages": every})
    return [entry for _, entry in sorted(found.items())]
