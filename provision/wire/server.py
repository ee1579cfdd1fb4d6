"""What a unit and a process of a start script have in common: both run a server from files of ours."""

from __future__ import annotations

from provision.wire.cases import Cases
from provision.wire.nodes import Meeting
from provision.wire.record import Record, many, one
from provision.wire.spec import Supervised


class Written(Record):
    """A path that a service writes to.

    - `because`: the variable or key of the service that names it
    - `said`: the playbook says that it is written to; else only its name does
    - `made`: a declared directory is at it or above it, in which it can be made
    """

    path: str
    because: str
    said: bool
    made: bool


class Access(Record):
    """What `user` has to be able to read and write, which is looked at before a start."""

    user: str
    read: list[str]
    write: list[Written] = many(Written)


class Preflight(Record):
    """How to ask a program whether it would start as declared: exit code 0: yes; 2: no; others say nothing.

    - `program`: what asks; `arguments`: what it asks about, with `cases` by the installed version
    - `env`: variables; no secrets
    - `user`: None: whoever runs this
    - `timeout`: seconds
    """

    program: list[str]
    arguments: list[str]
    cases: Cases | None = one(Cases, default=None)
    env: dict[str, str]
    user: str | None
    timeout: float


class Demands(Record):
    """What a service wants of the host besides its GPUs; memory in bytes.

    - `memory`: that it keeps for itself, apart from the files that it reads
    - `gpus`: on which its processes run; several share memory in /dev/shm
    - `because`: the option that asks for `memory`
    - `objects`: that Ray keeps in /dev/shm for its tasks
    """

    memory: int
    gpus: int
    because: str
    objects: int = 0


class Server(Supervised):
    """A server that is started from files which provision has written.

    - `port`, `bind`: where it will listen, so that another program there is found before the start
    - `stop_timeout`: seconds
    - `cards`: the GPUs on which it starts in its turn, by index or UUID, `all` for every one; None: none
    - `access`: what its user has to be able to read and write
    - `preflight`: how to ask whether it would start
    - `demands`: what else it wants of the host; None: nothing special
    - `meeting`: what its nodes compare before it is changed; None: it runs on this host alone
    """

    port: int | None = None
    bind: str | None = None
    stop_timeout: float = 60.0
    cards: list[str] | None = None
    access: Access | None = one(Access, default=None)
    preflight: Preflight | None = one(Preflight, default=None)
    demands: Demands | None = one(Demands, default=None)
    meeting: Meeting | None = one(Meeting, default=None)
