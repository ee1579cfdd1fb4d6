"""What a host is asked to do: one record for each verb, with everything that deciding there needs."""

from __future__ import annotations

from typing import Any, ClassVar

from provision.wire.record import Record, Variant, many
from provision.wire.spec import Supervised


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
    """

    kind: str
    supervisor: str
    port: int | None
    url: str | None
    model: str | None


class Request(Variant):
    """What all verbs have in common.

    - `version`: provision's on the controller; `wire`: that of the contract
    - `host`: its name in the inventory
    - `state`: the directory on the host of what provision remembers there
    - `who`: the person and the machine that ask, for whoever finds the host locked
    """

    TAG: ClassVar[str] = "verb"
    version: str
    wire: int
    host: str
    state: str
    who: str


class Converging(Request):
    """What the verbs that look at every resource have in common.

    - `playbooks`: names of those that were selected
    - `partial`: something that they declare was left out on purpose
    - `deep`: read everything again, hash every model file
    """

    resources: list[Entry] = many(Entry)
    playbooks: list[str]
    partial: bool
    deep: bool


class Inspect(Converging):
    """Look at every resource, change nothing."""

    NAME: ClassVar[str] = "inspect"


class Apply(Converging):
    """Fix what differs.

    - `prune`: remove what has left the playbooks
    - `verify`: run the checks of services that did not change, too
    - `rollback`: put back the files that a service last answered with when it does not answer any more
    - `digest`: of the plan that was agreed to; a host that is found otherwise refuses
    - `workers`: resources that are fixed at once
    """

    NAME: ClassVar[str] = "apply"
    prune: bool
    verify: bool
    rollback: bool
    digest: str | None = None
    workers: int = 4


class Verify(Request):
    """Run every check of these probes."""

    NAME: ClassVar[str] = "verify"
    resources: list[Entry] = many(Entry)


class Status(Request):
    """Tell how services are."""

    NAME: ClassVar[str] = "status"
    services: list[Service] = many(Service)


class Logs(Request):
    """Print what services have printed: the last `lines` of each; with `follow`, go on."""

    NAME: ClassVar[str] = "logs"
    services: list[Service] = many(Service)
    lines: int = 100
    follow: bool = False


class Remove(Request):
    """Take away what was put on the host.

    - `playbooks`, `names`: only what these playbooks and services have brought; None: everything
    - `keep`: resource types that stay
    - `dry`: only tell what would go
    """

    NAME: ClassVar[str] = "remove"
    playbooks: list[str] | None
    names: list[str] | None
    keep: list[str] = []
    dry: bool = False
