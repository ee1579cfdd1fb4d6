"""What happens in a run: the events that the host side sends, and those that only the controller can make.

An event is one JSON object a line. Times are seconds, sizes are bytes.
"""

from __future__ import annotations

from typing import Any, ClassVar, Dict, List, Tuple

from provision.wire.figures import Figures
from provision.wire.finding import Finding
from provision.wire.nodes import Seen
from provision.wire.record import Record, Variant, many, one
from provision.wire.revision import Revision
from provision.wire.survey import Described, Engine, Forecast, Gpu, Holder, Learned, Load

Changes = Dict[str, Tuple[Any, Any]]
"""The keys that differ: key -> (actual, expected)."""

Options = List[List[str]]
"""Each option of a command with its values."""

Link = List[Any]
"""How two GPUs reach each other: their indices, and the word of nvidia-smi."""

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


class Question(Event):
    """What the controller answers by one line with an `Answer`, where the host `waits` for it.

    `number`: of the question, from 1: several threads of a host may ask at the same time.
    """

    waits: bool = False
    number: int = 0


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


class Surveyed(Question):
    """What decides whether services run here, as it was found before anything is changed.

    - `driver`, `cuda`: versions; `cuda` is the newest that the driver runs
    - `gpus`: None without an NVIDIA driver
    - `trouble`: why the driver's tool does not answer, where it is there
    - `links`: how GPUs reach each other: NV18, PIX, SYS, …
    - `learned`: what services logged about their last proven start
    - `serving`: services that run now; `starting`: those that this run starts or restarts
    """

    NAME: ClassVar[str] = "surveyed"
    driver: str | None
    cuda: str | None
    gpus: list[Gpu] | None = many(Gpu)
    trouble: Finding | None = one(Finding, default=None)
    links: list[Link] = []
    holders: list[Holder] = many(Holder)
    models: list[Described] = many(Described)
    engines: list[Engine] = many(Engine)
    learned: list[Learned] = many(Learned)
    serving: list[str]
    starting: list[str]


class Turn(Question):
    """Something is to be changed here, and the host waits until its wave begins.

    `free`: it has been left to other runs, and waits to be taken again.
    """

    NAME: ClassVar[str] = "turn"
    free: bool = False


class Leave(Question):
    """A service that a gateway passes requests to is about to be stopped.

    The host waits until no gateway passes requests to it any more, and the running ones have ended.

    `ends`: it does not come back.
    """

    NAME: ClassVar[str] = "leave"
    service: str
    ends: bool = False


class Return(Question):
    """A service that had left has been proven, or (`ends`) has stopped.

    The host waits until gateways pass requests to it again.
    """

    NAME: ClassVar[str] = "return"
    service: str
    ends: bool = False


class Meet(Question):
    """A node of a service that runs over several hosts waits for the others to come as far as itself.

    - `nodes`: the hosts, by rank
    - `step`: `look`: everything is inspected; `hold`: no other run holds the host, before a rollback or
      removal; `compare`: the service is about to be changed; `reach`: the other nodes were tried; `stop`: it
      is about to be stopped or started; `watch`: it is being proven, and the answer comes when another node
      has failed; `prove`: it is proven, or has failed; `return`: gateways pass requests to it again, or do
      not; `back`: it has failed, and goes back to what it ran with; `choose`: by hand, which revision to go
      back to; `ready`: whether that is possible; `remove`: it is about to be removed
    - `starts`: this run starts or restarts it here
    - `joins`: each node joins by itself: it is compared with the others, and waits for no start of theirs
    - `same`: what has to be the same on each node, by what it is
    - `address`, `ports`: where this node can be reached now
    - `now`: its clock, in seconds since 1970
    - `change`: that the head goes back to, by its id
    - `findings`: what this node has found to be wrong
    """

    NAME: ClassVar[str] = "meet"
    service: str
    nodes: list[str]
    step: str
    starts: bool = True
    joins: bool = False
    same: dict[str, str] = {}
    address: str | None = None
    ports: list[int] = []
    now: float | None = None
    change: str = ""
    findings: list[Finding] = many(Finding, default=[])


class Beside(Record):
    """A server of a gateway, as HAProxy sees it: `host`, and whether it gets requests (`up`)."""

    host: str
    up: bool


class Rotation(Question):
    """How the servers of a service are at a gateway, before one of them is taken out of rotation.

    The gateway's host waits until that may be done. `known`: the gateway has this server.
    """

    NAME: ClassVar[str] = "rotation"
    known: bool
    servers: list[Beside] = many(Beside)


class Out(Question):
    """A server is out of rotation; the gateway's host waits until it may put it back.

    - `left`: requests that still run there, when the time for them is over
    - `seconds`: that were waited for them
    - `by_hand`: somebody else had taken it out before, so that it stays out
    """

    NAME: ClassVar[str] = "out"
    left: int = 0
    seconds: float = 0.0
    by_hand: bool = False


class Rotated(Event):
    """Made by the controller: a service left the rotation of a gateway, or came back.

    - `gateway`, `at`: the gateway and its host
    - `out`: it left; else it is back, and HAProxy says that it is up
    - `left`: requests that still ran there when the time for them was over
    - `seconds`: that it took
    - `finding`: what is to be known of it, such as what clients see meanwhile
    """

    NAME: ClassVar[str] = "rotated"
    BY_CONTROLLER: ClassVar[bool] = True
    service: str
    gateway: str
    at: str
    out: bool
    left: int = 0
    seconds: float = 0.0
    finding: Finding | None = one(Finding, default=None)


class Outlook(Event):
    """Made by the controller: what is foreseen of a host, from what it has told.

    - `loads`: each GPU, and who takes what of it
    - `forecasts`: each service that this run starts or restarts
    - `findings`: what cannot work, and what may not
    """

    NAME: ClassVar[str] = "outlook"
    BY_CONTROLLER: ClassVar[bool] = True
    loads: list[Load] = many(Load)
    forecasts: list[Forecast] = many(Forecast)
    findings: list[Finding] = many(Finding, default=[])


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


class ServerStatus(Record):
    """A server of a gateway, as HAProxy sees it.

    - `service`, `host`: which replica
    - `state`: `up`, `down`, or `out` (of rotation)
    - `running`: requests that run there
    - `since`: when a run has taken it out, in seconds since 1970; `why`: for whom; both None when nobody did,
      or somebody by hand
    """

    service: str
    host: str
    state: str
    running: int
    since: float | None = None
    why: str | None = None


class ServiceStatus(Event):
    """How a service is, as its supervisor, port and GPU tell.

    - `kind`, `supervisor`, `url`, `model`, `port`: as requested
    - `state`: running, starting, stopping, restarting, stopped or failed
    - `ended`: how the last process ended, when none runs
    - `pid`, `uptime` in seconds, `restarts` by the supervisor since the last start on purpose
    - `listening`: whether the service itself has its port open; `listener`: who else has
    - `gpu_memory`: bytes held by its processes; None without an NVIDIA GPU
    - `proven`: whether the process that runs has answered
    - `owed`: the ids of what it has to be restarted for, or None
    - `figures`: what it logged about the start that was proven last
    - `servers`: of a gateway
    - `node`: which node of several it is, and what that says of the others
    """

    NAME: ClassVar[str] = "service"
    service: str
    kind: str
    supervisor: str
    state: str
    ended: str | None
    pid: int | None
    uptime: float | None
    restarts: int | None
    port: int | None
    listening: bool
    listener: str | None
    url: str | None
    model: str | None
    gpu_memory: int | None
    proven: bool
    owed: list[str] | None
    figures: Figures | None = one(Figures, default=None)
    servers: list[ServerStatus] = many(ServerStatus, default=[])
    node: Seen | None = one(Seen, default=None)


class History(Event):
    """What a service has run with, the oldest revision first."""

    NAME: ClassVar[str] = "history"
    service: str
    revisions: list[Revision] = many(Revision)


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


class Wave(Event):
    """Made by the controller: some hosts may be changed now, or no more hosts are changed. About no host.

    - `number`: of the wave, from 1; `of`: how many there are
    - `hosts`: those of the wave; of a rollout that has stopped, those that stay as they are
    - `stopped`: why no more hosts are changed; None as a wave begins
    """

    NAME: ClassVar[str] = "wave"
    BY_CONTROLLER: ClassVar[bool] = True
    number: int
    of: int
    hosts: list[str]
    stopped: Finding | None = one(Finding, default=None)


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


class Unreachable(Event):
    """Made by the controller: the host side could not be started, or was lost.

    `begun`: it had begun to work, so that something may have been changed. The log of `finding` is what the
    host, or the way to it, printed.
    """

    NAME: ClassVar[str] = "unreachable"
    BY_CONTROLLER: ClassVar[bool] = True
    finding: Finding = one(Finding)
    begun: bool = False
    executions: int = 0
    sent: int = 0


class Bootstrapped(Event):
    """Made by the controller: the host had no python3, and has been given one."""

    NAME: ClassVar[str] = "bootstrapped"
    BY_CONTROLLER: ClassVar[bool] = True
    python: str
    seconds: float
