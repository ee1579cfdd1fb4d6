"""Collects the resources of one host from all plays and playbooks."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from provision.catalog.catalog import Resource, ServiceInfo
from provision.catalog.layout import above
from provision.config.problems import ConfigError, Problem
from provision.wire.finding import Finding
from provision.wire.spec import Placed, Spec
from provision.wire.specs.directory import DirectorySpec
from provision.wire.specs.user import UserSpec

if TYPE_CHECKING:
    from provision.config.hosts import Host
    from provision.config.playbook import Play

S = TypeVar("S", bound=Spec)

MODE = "0755"
"""Mode of the directories of provision: services run as another user than the one that creates them."""


class Implied(NamedTuple):
    """A directory that something else needs, and that provision creates unless a play declares it."""

    mode: str | None
    play: Play
    where: tuple[str | int, ...]
    playbooks: list[str]


class Builder:
    """The resources of one host while they are being collected.

    The same resource from two plays is one; two that have the same id but differ are a problem.
    """

    def __init__(self, host: Host) -> None:
        self.host = host
        self.problems: list[Problem] = []
        self.notes: list[Finding] = list(host.notes)
        self.services: list[ServiceInfo] = []
        self.resources: dict[str, Resource] = {}
        self._implied: dict[str, Implied] = {}

    def problem(
        self, code: str, play: Play, where: Sequence[str | int], message: str, hint: str | None = None
    ) -> None:
        """Note what is wrong, at its place in the playbook."""
        self.problems.append(Problem(code, play.where(*where), message, hint))

    @contextmanager
    def blame(self, play: Play, *where: str | int) -> Iterator[None]:
        """Turn a `ConfigError` inside the block into problems, at this place unless they name another."""
        try:
            yield
        except ConfigError as error:
            self.problems += error.at(play.where(*where)).problems

    def packages(self, play: Play) -> list[str]:
        """Return the id of the packages when the play, or an earlier one of its playbook, declares some."""
        apt = self.resources.get("apt")
        return ["apt"] if apt is not None and play.playbook in apt.playbooks else []

    def spec(self, id: str, kind: type[S]) -> S | None:
        """Return the record of a resource; None when there is none with this id and type."""
        resource = self.resources.get(id)
        return resource.spec if resource is not None and isinstance(resource.spec, kind) else None

    def add(
        self,
        play: Play,
        where: Sequence[str | int],
        id: str,
        spec: Spec,
        label: str,
        *,
        needs: Sequence[str] = (),
        triggers: Sequence[str] = (),
        service: str | None = None,
        tags: frozenset[str] = frozenset(),
    ) -> Resource:
        """Add a resource; one that is already there is merged with it."""
        resource = Resource(
            id,
            spec,
            label,
            _unique(needs),
            _unique(triggers),
            [play.playbook],
            service,
            play.where(*where),
            frozenset(play.fields.tags) | tags,
        )
        there = self.resources.setdefault(id, resource)
        if there is not resource:
            self._merge(there, resource)
        return there

    def _merge(self, there: Resource, again: Resource) -> None:
        if there.spec != again.spec:
            keys = sorted(
                key for key in there.spec.FIELDS if getattr(there.spec, key) != getattr(again.spec, key)
            )
            self.problems.append(
                Problem(
                    "declared-twice",
                    again.position,
                    f"{again.label} is declared otherwise at {there.position}: {', '.join(keys)} differ",
                    "declare it once, or alike, or under another name",
                )
            )
        there.needs = _unique([*there.needs, *again.needs])
        there.triggers = _unique([*there.triggers, *again.triggers])
        there.playbooks = _unique([*there.playbooks, *again.playbooks])
        there.tags |= again.tags
        if there.service != again.service:
            there.service = None

    def imply_directory(
        self, play: Play, where: Sequence[str | int], path: str, mode: str | None = MODE
    ) -> str:
        """Ask for a directory unless somebody declares it; returns its id."""
        mine = self._implied.setdefault(path, Implied(mode, play, tuple(where), []))
        if play.playbook not in mine.playbooks:
            mine.playbooks.append(play.playbook)
        return f"directory:{path}"

    def imply_tree(self, play: Play, where: Sequence[str | int], root: str, path: str) -> str:
        """Ask for the directories from `root` down to `path`; returns the id of the last."""
        for directory in reversed([path, *above(path)]):
            if directory == root or directory.startswith(root.rstrip("/") + "/"):
                self.imply_directory(play, where, directory)
        return f"directory:{path}"

    def finish(self) -> list[Resource]:
        """Add implied directories, and needs that follow from paths and owners; returns all resources."""
        for path, implied in self._implied.items():
            if f"directory:{path}" not in self.resources:
                spec = DirectorySpec(path=path, mode=implied.mode)
                added = self.add(implied.play, implied.where, f"directory:{path}", spec, path)
                added.playbooks = implied.playbooks
        homes = self._homes()
        for resource in self.resources.values():
            needs = [*resource.needs, *self._parents(resource, homes), *self._owners(resource)]
            resource.needs = _unique(need for need in needs if need != resource.id)
        return list(self.resources.values())

    def _parents(self, resource: Resource, homes: Mapping[str, str]) -> Iterator[str]:
        if not isinstance(resource.spec, Placed):
            return
        path = resource.spec.path
        for place in (path, *above(path)):
            if place in homes:
                yield homes[place]
            if place != path and (id := f"directory:{place}") in self.resources:
                yield id
                return

    def _homes(self) -> dict[str, str]:
        """Return the home directories that are created with their users, by path, with the user's id."""
        return {
            each.spec.home: each.id
            for each in self.resources.values()
            if isinstance(each.spec, UserSpec) and each.spec.create_home and each.spec.home
        }

    def _owners(self, resource: Resource) -> Iterator[str]:
        spec = resource.spec
        for name in _named(spec, spec.USERS):
            if (id := f"user:{name}") in self.resources:
                yield id
        for name in _named(spec, spec.GROUPS):
            # A user that names no group of its own is created together with a group of its name.
            kinds = ("group", "user") if resource.type != "user" else ("group",)
            yield from [id for kind in kinds if (id := f"{kind}:{name}") in self.resources][:1]


def _unique(ids: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(ids))


def _named(spec: Spec, fields: Sequence[str]) -> Iterator[str]:
    """Return the names in these fields; each field holds one, several or none."""
    for field in fields:
        value = getattr(spec, field)
        yield from [value] if isinstance(value, str) else value or []
