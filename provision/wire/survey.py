"""What decides whether services run on a host, as it tells; and what the controller foresees from that.

Bytes are bytes, and those of a GPU are as the driver's own tool tells them.
"""

from __future__ import annotations

from typing import Any, List

from provision.wire.figures import Figures
from provision.wire.finding import Finding
from provision.wire.nodes import Peer
from provision.wire.record import Record, many, one

Capability = List[int]
"""The compute capability of a GPU: major, minor."""

TensorRow = List[Any]
"""A kind of tensor: name, dtype, shape, and how many there are."""


class Gpu(Record):
    """A GPU; None where the driver does not tell.

    One that is divided (MIG) is followed by its instances, which have its `index`, and a `uuid` MIG-….

    - `memory`, `used`: bytes; what the driver keeps for itself is no part of them
    - `capability`: CUDA compute capability, such as [9, 0]
    - `mig`: the UUIDs of its instances; None where it is not divided, or is an instance
    - `trouble`: what is wrong with it, in the driver's words
    """

    index: int
    uuid: str
    name: str
    memory: int | None
    used: int | None
    capability: Capability | None
    mig: list[str] | None = None
    trouble: str | None = None


class Holder(Record):
    """A process that holds memory of a GPU.

    - `gpu`: its UUID
    - `bytes`: None where the driver does not tell
    - `command`: the program, with the script or module that an interpreter runs; no other arguments
    - `service`: the service of ours that it belongs to
    - `left_over`: a worker of a model server that has ended, which nothing will stop
    - `ends`: this run ends it before it starts services
    """

    pid: int
    command: str
    gpu: str
    bytes: int | None
    service: str | None
    left_over: bool
    ends: bool = False


class Described(Record):
    """What a model says of itself.

    - `path`: its directory on the host
    - `source`: where this was read, for people: the directory, or a hub
    - `config`: its `config.json`; None where it cannot be read, and `trouble` says why
    - `tensors`: [name, type, shape, count] of its weights, those of experts that are alike as one; None when
      not all of its files are there
    """

    path: str
    source: str
    config: dict[str, Any] | None
    tensors: list[TensorRow] | None
    trouble: str | None = None


class Engine(Record):
    """The engine that a service will run on, and its version; None where that is not known yet."""

    service: str
    package: str
    version: str | None


class Learned(Record):
    """The figures of the last proven start of a service."""

    service: str
    figures: Figures = one(Figures)


class Answer(Record):
    """What the controller says to a host that waits.

    - `go`: go on; else end, and change nothing
    - `number`: that of the question
    - `findings`: why not; or what the user has chosen to ignore
    - `starts`: the nodes of a service that start it, and so all do
    - `peers`: its other nodes
    - `change`: that they go back to, by its id
    - `leave`: change nothing yet, and leave the host to other runs until you are told
    """

    go: bool
    number: int = 0
    findings: list[Finding] = many(Finding, default=[])
    starts: list[str] = []
    peers: list[Peer] = many(Peer, default=[])
    change: str = ""
    leave: bool = False


class Taker(Record):
    """Who takes memory of a GPU, in bytes: a service, or a process that is none of ours.

    - `name`: the service, or what the process is called
    - `foreign`: it is no service of the playbooks
    - `weights`, `cache`, `rest`: parts, where they are known; `rest` is graphs, activation and what else
    - `bytes`: all that it takes
    - `learned`: as its engine logged it, not computed
    """

    name: str
    foreign: bool
    bytes: int
    weights: int | None = None
    cache: int | None = None
    rest: int | None = None
    learned: bool = False


class Load(Record):
    """Who takes what of one GPU once everything runs; `memory` is what an engine sees of it, in bytes."""

    index: int
    name: str
    memory: int
    takers: list[Taker] = many(Taker)


class Forecast(Record):
    """What is foreseen of one service.

    - `verdict`: fits, does_not_fit or uncertain
    - `tokens`: that its cache has room for; `sequences` of `length` tokens at once
    - `seconds`: that its last start took; None where none is known
    - `learned`: the tokens are those that its engine logged
    - `drain`: seconds that a stop of it waits for running requests at most
    """

    service: str
    verdict: str
    tokens: int | None
    length: int | None
    sequences: float | None
    seconds: float | None
    learned: bool
    drain: float = 0.0
