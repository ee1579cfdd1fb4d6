"""What a service kind says of a program that is to be supervised; the rest is alike for all kinds."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from provision.config.secrets import Secret
    from provision.kinds.common.turn import Turn
    from provision.wire.cases import Cases
    from provision.wire.checks import Check
    from provision.wire.preflight import Preflight


@dataclass(kw_only=True)
class Program:
    """What a service kind says of its program; the rest is alike for all kinds.

    Args:
        script: content of the start script.
        cases: the content by installed version; None when it is the same for all.
        port: where it listens; None when that is not known.
        bind: the address it listens on; None for all.
        model: name under which requests ask for it.
        needs: ids that it cannot run without; a change of one restarts it.
        paths: directories that it reads.
        env: variables with a secret or of the user's, for the env file.
        key_name: the variable in the env file that holds the API key.
        key_field: the field by which the service declares one.
        health: whether the server has a page `/health` that says when it is ready.
        checks: the proof.
        drain: seconds that it may take to finish requests when stopped.
        before: commands for `ExecStartPre=`, already quoted.
        preflight: how to ask whether it would start; None when there is no way.
        writable: directories that it may write to, beside its own.
        tls: whether it speaks TLS.
        ca: what checks verify its certificate by: a file on the host; None when they do not.
        socket: the unix socket on which it listens instead of a port.
        turn: on which GPUs it starts in its turn; None for one that uses none.
    """

    script: str
    cases: Cases | None = None
    port: int | None
    bind: str | None = None
    model: str | None = None
    needs: list[str] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)
    env: dict[str, str | Secret]
    key_name: str | None = None
    key_field: str = "api_key"
    checks: list[Check]
    health: bool = False
    drain: float = 0.0
    before: list[str] = field(default_factory=list)
    preflight: Preflight | None = None
    writable: list[str] = field(default_factory=list)
    tls: bool = False
    ca: str | None = None
    socket: str | None = None
    turn: Turn | None = None
