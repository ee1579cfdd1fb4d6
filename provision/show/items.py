"""What a command tells, whatever the format: the events of hosts, findings, and answers that need no host."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, TypeAlias

from provision.dataclass import dataclass
from provision.wire.events import Error, Event, Inspected, Note
from provision.wire.rollout import Outlook, Rotated, Unreachable

if TYPE_CHECKING:
    from provision.catalog.catalog import ServiceInfo
    from provision.config.problems import Position
    from provision.findings import Entry
    from provision.fleet.waves import Waves as Order
    from provision.lock.changes import Change
    from provision.lock.lockfile import Lock
    from provision.project.project import Project
    from provision.wire.finding import Finding


class Run(NamedTuple):
    """What is known of a command before its first item.

    Args:
        verb: its name.
        hosts: those of the run, in the order in which they are shown.
        services: by host, what its playbooks declare there.
        diffs: show what changes inside files.
    """

    verb: str
    hosts: Sequence[str] = ()
    services: Mapping[str, Sequence[ServiceInfo]] = {}
    diffs: bool = True

    @classmethod
    def of(cls, verb: str, project: Project, diffs: bool = True) -> Run:
        """Return what is known of a verb that works on a project."""
        services = {name: catalog.services for name, catalog in project.fleet.catalogs.items()}
        return cls(verb, project.host_names, services, diffs)


class Answer(Protocol):
    """An item that no host has sent."""

    def plain(self) -> dict[str, Any]:
        """Return its object in JSON lines, with the name of the item as `event`."""


Item: TypeAlias = Event | Answer
"""One thing that a command tells."""


@dataclass(frozen=True)
class Located:
    """A finding, the place of the user's files where it has to be changed, and the host that it is about."""

    finding: Finding
    position: Position | None = None
    host: str | None = None

    @classmethod
    def of(cls, finding: Finding, host: str | None = None) -> Located:
        """Return a finding that names its place itself."""
        from provision.config.problems import Position

        return cls(finding, Position.parse(finding.where), host)

    def sentence(self) -> str:
        """Return what it says and the way out on one line, after the host that it is about."""
        about = f"{self.host}: " if self.host else ""
        return f"{about}{self.finding.sentence()}"

    def plain(self) -> dict[str, Any]:
        """Return the finding with its host, if it is about one."""
        about = {} if self.host is None else {"host": self.host}
        return {"event": "finding", **about, **self.finding.plain()}


def located(item: Item) -> Iterator[Located]:
    """Give each finding that an item tells, with its place."""
    match item:
        case Located():
            yield item
        case Outlook():
            yield from (Located.of(finding, item.host) for finding in item.findings)
        case Note() | Error() | Unreachable():
            yield Located.of(item.finding, item.host)
        case Rotated() if item.finding:
            yield Located.of(item.finding, item.host)
        case Inspected():
            found = [*item.notes, *([item.finding] if item.finding else [])]
            yield from (
                Located.of(each.replace(message=f"{item.label}: {each.message}"), item.host) for each in found
            )
        case _:
            pass


def noted(project: Project) -> Iterator[Located]:
    """Return what is noted of the inventories and playbooks of a project."""
    yield from (Located(note) for note in project.notes)
    for name, catalog in project.fleet.catalogs.items():
        yield from (Located(note, host=name) for note in catalog.notes)


@dataclass(frozen=True)
class Waves:
    """In which order hosts are changed."""

    order: Order

    def plain(self) -> dict[str, Any]:
        """Return the hosts of each wave, and when it ends early."""
        hosts = [list(names) for names in self.order.hosts]
        return {
            "event": "waves",
            "waves": hosts,
            "max_failures": self.order.max_failures,
            "pause": self.order.pause,
            "declared": self.order.declared,
        }


@dataclass(frozen=True)
class Valid:
    """The input is valid: its playbooks, and how many hosts, services and resources they declare."""

    playbooks: list[str]
    hosts: int
    services: int
    resources: int

    def plain(self) -> dict[str, Any]:
        """Return the fields."""
        return {"event": "valid", **asdict(self)}


class Locked(NamedTuple):
    """The lock of a playbook, as it was and as it is to be.

    Args:
        file: its path.
        before: what it had; None: there was none.
        after: what it has, or would have.
        written: it was written.
    """

    file: str
    before: Lock | None
    after: Lock
    written: bool

    @property
    def changes(self) -> list[Change]:
        """What differs."""
        from provision.lock.changes import changes

        return changes(self.before, self.after) if self.before else []

    def plain(self) -> dict[str, Any]:
        """Return what differs, and the packages without a hash."""
        from provision.lock.changes import unhashed

        return {
            "event": "locked",
            "file": self.file,
            "new": self.before is None,
            "changed": self.before != self.after,
            "written": self.written,
            "changes": [each._asdict() for each in self.changes],
            "unhashed": [each._asdict() for each in unhashed(self.after)],
        }


@dataclass(frozen=True)
class Code:
    """A code of a finding, its entry in the catalogue, and the title of the area that it is in."""

    code: str
    entry: Entry
    area: str

    def plain(self) -> dict[str, Any]:
        """Return the code with the fields of its entry."""
        return {"event": "code", "code": self.code, **asdict(self.entry)}
