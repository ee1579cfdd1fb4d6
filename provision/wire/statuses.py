"""What hosts tell when they are asked how services are, and what they have run with."""

from __future__ import annotations

from typing import ClassVar

from provision.wire.events import Event
from provision.wire.figures import Figures
from provision.wire.nodes import Seen
from provision.wire.record import Record, many, one
from provision.wire.revision import Revision


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
