"""A service that a start script supervises."""

from __future__ import annotations

from typing import ClassVar

from provision.wire.access import Access
from provision.wire.preflight import Preflight
from provision.wire.record import one
from provision.wire.spec import Supervised


class ProcessSpec(Supervised):
    """A process of a start script, with its log and pid file.

    - `script`: what starts it, in `directory` (None: in `/`)
    - `user`: None: whoever runs this
    - `port`, `bind`, `stop_timeout`, `cards`, `access`, `preflight`: as of a unit
    """

    USERS: ClassVar[tuple[str, ...]] = ("user",)
    log: str
    pid_file: str
    script: str
    directory: str | None = None
    user: str | None = None
    port: int | None = None
    bind: str | None = None
    stop_timeout: float = 60.0
    cards: list[str] | None = None
    access: Access | None = one(Access, default=None)
    preflight: Preflight | None = one(Preflight, default=None)
