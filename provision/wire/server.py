"""What a unit and a process of a start script have in common: both run a server from files of ours."""

from __future__ import annotations

from provision.wire.access import Access
from provision.wire.preflight import Preflight
from provision.wire.record import one
from provision.wire.spec import Supervised


class Server(Supervised):
    """A server that is started from files which provision has written.

    - `port`, `bind`: where it will listen, so that another program there is found before the start
    - `stop_timeout`: seconds
    - `cards`: the GPUs on which it starts in its turn, by index or UUID, `all` for every one; None: none
    - `access`: what its user has to be able to read and write
    - `preflight`: how to ask whether it would start
    """

    port: int | None = None
    bind: str | None = None
    stop_timeout: float = 60.0
    cards: list[str] | None = None
    access: Access | None = one(Access, default=None)
    preflight: Preflight | None = one(Preflight, default=None)
