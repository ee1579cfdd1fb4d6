"""What happens in a run, as the host side tells it: an event is one JSON object a line.

Times are seconds, sizes are bytes. More events: `questions.py`, `statuses.py`, `taken.py`, `rollout.py`.
"""

from __future__ import annotations

from typing import Any, ClassVar, Dict, List, Tuple

from provision.wire.figures import Figures
from provision.wire.finding import Finding
from provision.wire.record import Record, Variant, many, one

Changes = Dict[str, Tuple[Any, Any]]
"""The keys that differ: key -> (actual, expected)."""

Options = List[List[str]]
"""Each option of a command with its values."""

CANCELLED = "run-cancelled"
"""The code of what was not done because the run was ended by ^C, or by SIGTERM."""

STOPPED = "rollout-stopped"
"""The code of an error of a host that stays as it is because others have failed before its turn."""

SERVICE = "service"
PROOF = "proof"
"""The role of a resource in its service; most have none."""


class Event(Variant):
    """What all events have in common: the host that they are about (the controller fills it in), or none."""

    TAG: ClassVar[str] = "event"
    BY_CONTROLLER: ClassVar[bool] = False
    """Whether only the controller makes it; a host that sends it means harm."""
    host: str = ""


class Facts(Record):
    """What a person wants to know of a host at a glance."""

    hostname: str
    os: str
    arch: str
    cpus: int | None
    memory: int


class Hello(Event):
    """The host side has begun.

    `provision`: its version; `wire`: that of the contract; `now`: its clock, in seconds since 1970.
    """

    NAME: ClassVar[str] = "hello"
    provision: str
    wire: int
    python: str
    pid: int
    user: str
    root: bool
    now: float
    facts: Facts = one(Facts)


class Waiting(Event):
    """A resource waits for what somebody else holds, which `reason` names.

    `locked`: it is the whole host, which another run works on.
    """

    NAME: ClassVar[str] = "waiting"
    locked: bool = False
    reason: str
    seconds: float
    id: str | None = None


class Work(Record):
    """What a change has to fetch or do.

    - `install`, `remove`: packages
    - `pull`, `load`: an image, from a registry or from a file
    - `recreate`: the container that is made again, with all that is in it
    - `start`, `restart`, `reload`: a service
    - `because`: what else changes, and so runs a command
    - `bytes`: to download; `linked`: of files that a model beside it has already
    - `beside`: the directory beside which an environment or a model is made; it stays as it is
    - `disk`: bytes that it takes there, about, by what the former one takes; those of files that are
      the same in both count, too
    - `checks`: what a service will be asked
    """

    install: list[str] = []
    remove: list[str] = []
    pull: str | None = None
    load: str | None = None
    recreate: str | None = None
    start: str | None = None
    restart: str | None = None
    reload: str | None = None
    because: list[str] = []
    bytes: int | None = None
    linked: int | None = None
    beside: str | None = None
    disk: int | None = None
    checks: list[str] = []


class Inspected(Event):
    """A resource was inspected. Nothing differs when `changes` is empty and `finding` is None.

    - `role`: `service`: it runs a service; `proof`: it proves that one answers; else empty
    - `new`: it does not exist yet
    - `options`: of a start script: those of its command as they were and as declared; None where they are not
      known
    - `pending`: it differs only because something that it needs does not exist yet
    - `finding`: why it could not be inspected
    - `notes`: warnings worth a line even when nothing differs
    """

    NAME: ClassVar[str] = "inspected"
    id: str
    type: str
    label: str
    service: str | None = None
    role: str = ""
    changes: Changes = {}
    new: bool = False
    diff: str | None = None
    options: tuple[Options, Options] | None = None
    work: Work | None = one(Work, default=None)
    notes: list[Finding] = many(Finding, default=[])
    pending: bool = False
    finding: Finding | None = one(Finding, default=None)


class Started(Event):
    """A resource is being fixed; `changes` are the keys that differ."""

    NAME: ClassVar[str] = "started"
    id: str
    changes: list[str] = []


class Progress(Event):
    """How far the work on a resource has come."""

    NAME: ClassVar[str] = "progress"
    id: str
    done: float
    total: float | None = None
    unit: str = "bytes"
    text: str = ""


class Output(Event):
    """A line that a resource's command printed."""

    NAME: ClassVar[str] = "output"
    id: str
    line: str


class Result(Event):
    """What has become of a resource: `ok`, `changed`, `failed` or `skipped`; `finding` says why."""

    NAME: ClassVar[str] = "result"
    id: str
    status: str
    changes: Changes = {}
    seconds: float = 0.0
    finding: Finding | None = one(Finding, default=None)


class Restart(Event):
    """A running service has to be restarted, because of these resources.

    - `reload`: it takes them in while it goes on serving
    - `drained`: the gateways that pass no new requests to it before it stops
    - `figures`: of its last start
    - `nodes`: the hosts of one that runs over several: all restart together
    - `led_by`: those of them whose changes restart it on this one
    """

    NAME: ClassVar[str] = "restart"
    service: str
    because: list[str] = []
    reload: bool = False
    drained: list[str] = []
    figures: Figures | None = one(Figures, default=None)
    nodes: list[str] = []
    led_by: list[str] = []


class Proof(Event):
    """A service was asked something, and this is what came back."""

    NAME: ClassVar[str] = "proof"
    service: str
    check: str
    ok: bool
    sent: str | None = None
    received: str | None = None
    seconds: float = 0.0
    finding: Finding | None = one(Finding, default=None)


class Restored(Event):
    """What became of the attempt to give a service back what it last answered with.

    `id`: the resource whose failure came before. `ok`: it answers again. `finding`: why it does not.
    """

    NAME: ClassVar[str] = "restored"
    id: str
    service: str
    ok: bool
    text: str
    finding: Finding | None = one(Finding, default=None)


class Line(Event):
    """A line of a service's log; `rank`: of its node, where it runs over several hosts."""

    NAME: ClassVar[str] = "line"
    service: str
    text: str
    rank: int | None = None


class Orphan(Event):
    """What is on the host and in no playbook any more; without a service these are single resources."""

    NAME: ClassVar[str] = "orphan"
    service: str | None = None
    playbooks: list[str] = []
    ids: list[str] = []


class Removed(Event):
    """A resource was taken away (`planned`: would be); `kept` says why it stays after all."""

    NAME: ClassVar[str] = "removed"
    id: str
    label: str = ""
    planned: bool = False
    kept: str | None = None
    finding: Finding | None = one(Finding, default=None)


class Note(Event):
    """Something worth a line; `id`: of the resource that it is about."""

    NAME: ClassVar[str] = "note"
    finding: Finding = one(Finding)
    id: str | None = None


class Heartbeat(Event):
    """The host side is alive and has nothing to report."""

    NAME: ClassVar[str] = "heartbeat"


class Error(Event):
    """The run on this host cannot go on."""

    NAME: ClassVar[str] = "error"
    finding: Finding = one(Finding)


class Done(Event):
    """The host side has come to its end.

    `executions` and `sent` are the controller's own: how many commands it executed on the host, and how many
    bytes it sent there on their standard inputs. `services`: the state of each service that had a problem:
    `before` (it runs as before the change), `unproven` (not proven yet), `failing` (it does not
    answer) or `stopped`.
    """

    NAME: ClassVar[str] = "done"
    ok: bool
    counts: dict[str, int] = {}
    seconds: float = 0.0
    orphans: int = 0
    digest: str | None = None
    services: dict[str, str] = {}
    executions: int = 0
    sent: int = 0
