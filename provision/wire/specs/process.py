"""A service that a start script supervises."""

from __future__ import annotations

from typing import ClassVar

from provision.wire.server import Server


class ProcessSpec(Server):
    """A process of a start script, with its log and pid file.

    - `script`: what starts it, in `directory` (None: in `/`)
    - `user`: None: whoever runs this
    """

    USERS: ClassVar[tuple[str, ...]] = ("user",)
    log: str
    pid_file: str
    script: str
    directory: str | None = None
    user: str | None = None
