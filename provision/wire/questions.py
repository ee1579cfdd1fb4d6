"""What a host asks the controller: events that are answered by one line, an `Answer` of `survey.py`.

They are apart from the other events, as a host that is as it should be asks nothing.
"""

from __future__ import annotations

from typing import Any, ClassVar, List

from provision.wire.events import Event
from provision.wire.finding import Finding
from provision.wire.record import Record, many, one
from provision.wire.survey import Described, Engine, Gpu, Holder, Learned

Link = List[Any]
"""How two GPUs reach each other: their indices, and the word of nvidia-smi."""


class Question(Event):
    """What the controller answers by one line with an `Answer`, where the host `waits` for it.

    `number`: of the question, from 1: several threads of a host may ask at the same time.
    """

    waits: bool = False
    number: int = 0


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
