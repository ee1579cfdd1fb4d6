"""What is said of a run: the events of the host side, and those that only the controller can make.

An event is one JSON object a line on the wire and one dataclass here. Fields without a default must be there;
unknown fields are ignored. Times are seconds, sizes are bytes.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, ClassVar

from provision.transport.visible import visible

Changes = dict[str, tuple[Any, Any]]
"""The keys that differ: key -> (actual, expected)."""


class MalformedEvent(ValueError):
    """An object that is no event this version knows; the message names what is wrong."""


@dataclass(slots=True, kw_only=True)
class Event:
    """What all events have in common: the host that they are about."""

    name: ClassVar[str]
    host: str = ""

    def as_json(self) -> dict[str, Any]:
        """Return the event as plain data, as it goes into `--output json`."""
        data: dict[str, Any] = {"event": self.name}
        for key in _fields(type(self)):
            data[_KEYS.get(key, key)] = getattr(self, key)
        return data


_KEYS = {"what": "for"}
"""Fields whose JSON key is a keyword of Python."""

_NAMES = {key: name for name, key in _KEYS.items()}


@dataclass(slots=True, kw_only=True)
class Hello(Event):
    """The host side has begun; `facts` is what a person wants to know of the host at a glance."""

    name = "hello"
    python: str
    pid: int
    user: str
    root: bool
    facts: dict[str, Any] = field(default_factory=dict)


@dataclass(slots=True, kw_only=True)
class Waiting(Event):
    """A resource waits for what somebody else holds."""

    name = "waiting"
    what: str
    seconds: float
    id: str | None = None


@dataclass(slots=True, kw_only=True)
class Inspected(Event):
    """A resource was looked at. Nothing differs when `changes` is empty and `error` is None.

    `pending`: what differs only does so because something that it needs is not there yet.
    """

    name = "inspected"
    id: str
    type: str
    label: str
    service: str | None = None
    changes: Changes = field(default_factory=dict)
    diff: str | None = None
    work: dict[str, Any] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    pending: bool = False
    error: str | None = None
    hint: str | None = None


@dataclass(slots=True, kw_only=True)
class Started(Event):
    """A resource is being fixed; `changes` are the keys that differ."""

    name = "started"
    id: str
    changes: list[str] = field(default_factory=list)


@dataclass(slots=True, kw_only=True)
class Progress(Event):
    """How far the work on a resource has come."""

    name = "progress"
    id: str
    done: float
    total: float | None = None
    unit: str = "bytes"
    text: str = ""


@dataclass(slots=True, kw_only=True)
class Output(Event):
    """A line that a resource's command printed."""

    name = "output"
    id: str
    line: str


@dataclass(slots=True, kw_only=True)
class Result(Event):
    """What has become of a resource: `ok`, `changed`, `failed` or `skipped`."""

    name = "result"
    id: str
    status: str
    changes: Changes = field(default_factory=dict)
    seconds: float = 0.0
    error: str | None = None
    hint: str | None = None
    log: list[str] = field(default_factory=list)


@dataclass(slots=True, kw_only=True)
class Restart(Event):
    """A running service has to be restarted, because of these resources."""

    name = "restart"
    service: str
    because: list[str] = field(default_factory=list)


@dataclass(slots=True, kw_only=True)
class Proof(Event):
    """A service was asked something, and this is what came back."""

    name = "proof"
    service: str
    check: str
    ok: bool
    sent: str | None = None
    received: str | None = None
    seconds: float = 0.0
    error: str | None = None
    hint: str | None = None
    log: list[str] = field(default_factory=list)


@dataclass(slots=True, kw_only=True)
class Restored(Event):
    """What became of the attempt to give a service back what it last answered with.

    `id`: the resource whose failure came before. `ok`: it answers again. `error`: why it does not.
    """

    name = "restored"
    id: str
    service: str
    ok: bool
    text: str
    error: str | None = None
    hint: str | None = None
    log: list[str] = field(default_factory=list)


@dataclass(slots=True, kw_only=True)
class ServiceStatus(Event):
    """How a service is; `status` is everything that its supervisor, port and GPU tell."""

    name = "service"
    service: str
    status: dict[str, Any] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        """Return the event as it came: the status is no object of its own there."""
        return {"event": self.name, "host": self.host, "service": self.service, **self.status}


@dataclass(slots=True, kw_only=True)
class Line(Event):
    """A line of a service's log."""

    name = "line"
    service: str
    text: str


@dataclass(slots=True, kw_only=True)
class Orphan(Event):
    """What is on the host and in no playbook any more; without a service these are single resources."""

    name = "orphan"
    service: str | None = None
    playbooks: list[str] = field(default_factory=list)
    ids: list[str] = field(default_factory=list)


@dataclass(slots=True, kw_only=True)
class Removed(Event):
    """A resource was taken away (`planned`: would be); `kept` says why it stays after all."""

    name = "removed"
    id: str
    label: str = ""
    planned: bool = False
    kept: str | None = None
    error: str | None = None


@dataclass(slots=True, kw_only=True)
class Note(Event):
    """Something worth a line."""

    name = "note"
    text: str


@dataclass(slots=True, kw_only=True)
class Heartbeat(Event):
    """The host side lives and has nothing to say."""

    name = "heartbeat"


@dataclass(slots=True, kw_only=True)
class Error(Event):
    """The run on this host cannot go on."""

    name = "error"
    message: str
    hint: str | None = None
    log: list[str] = field(default_factory=list)


@dataclass(slots=True, kw_only=True)
class Done(Event):
    """The host side has come to its end.

    `executions` and `sent` are the controller's own: how many commands it executed on the host, and how many
    bytes it sent there on their standard inputs. `services`: how each service is of which something did not
    go well: `before` (it runs as before the change), `unproven` (not proven yet), `failing` (it does not
    answer) or `stopped`.
    """

    name = "done"
    ok: bool
    counts: dict[str, int] = field(default_factory=dict)
    seconds: float = 0.0
    orphans: int = 0
    digest: str | None = None
    services: dict[str, str] = field(default_factory=dict)
    executions: int = 0
    sent: int = 0


@dataclass(slots=True, kw_only=True)
class Unreachable(Event):
    """Made by the controller: the host side could not be started, or was lost.

    `begun`: it had begun to work, so that something may have been changed. `log`: what the host, or the way
    to it, printed.
    """

    name = "unreachable"
    cause: str
    hint: str | None = None
    begun: bool = False
    log: list[str] = field(default_factory=list)
    executions: int = 0
    sent: int = 0


@dataclass(slots=True, kw_only=True)
class Bootstrapped(Event):
    """Made by the controller: the host had no python3, and has been given one."""

    name = "bootstrapped"
    python: str
    seconds: float


_TYPES: dict[str, type[Event]] = {
    kind.name: kind
    for kind in (
        Hello, Waiting, Inspected, Started, Progress, Output, Result, Restart, Proof, Restored, Line, Orphan,
        Removed, Note, Heartbeat, Error, Done, Unreachable, Bootstrapped,
    )
}  # fmt: skip

_FIELDS: dict[type[Event], tuple[str, ...]] = {}


def _fields(kind: type[Event]) -> tuple[str, ...]:
    if kind not in _FIELDS:
        _FIELDS[kind] = tuple(item.name for item in dataclasses.fields(kind))
    return _FIELDS[kind]


def parse(data: dict[str, Any], host: str) -> Event:
    """Return the event that a JSON object stands for, with control characters as visible escapes.

    Raises:
        MalformedEvent: it is none, or lacks what it must have.
    """
    data = visible(data)
    name = data.get("event")
    if name == ServiceStatus.name:
        return _service(data, host)
    kind = _TYPES.get(name) if isinstance(name, str) else None
    if kind is None:
        raise MalformedEvent(f"unknown event {name!r}")
    known = _fields(kind)
    values = {_NAMES.get(key, key): value for key, value in data.items()}
    make: Callable[..., Event] = kind
    try:
        event = make(**{key: value for key, value in values.items() if key in known} | {"host": host})
    except TypeError as error:
        raise MalformedEvent(f"event {name}: {error}") from None
    if isinstance(event, Inspected | Result):
        try:
            event.changes = {key: (actual, expected) for key, (actual, expected) in event.changes.items()}
        except (TypeError, ValueError, AttributeError):
            raise MalformedEvent(f"event {name}: `changes` holds no pairs") from None
    return event


def _service(data: dict[str, Any], host: str) -> ServiceStatus:
    status = {key: value for key, value in data.items() if key not in ("event", "host", "service")}
    service = data.get("service")
    if not isinstance(service, str):
        raise MalformedEvent("event service: no service is named")
    return ServiceStatus(host=host, service=service, status=status)
