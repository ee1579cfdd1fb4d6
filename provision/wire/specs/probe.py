"""The proof that a service answers."""

from __future__ import annotations

from provision.wire.checks import Check
from provision.wire.record import many
from provision.wire.spec import Supervised


class ProbeSpec(Supervised):
    """How to ask a service, and what.

    - `health`: the server has a page `/health` that says when it is ready
    - `url`: where it listens, `unix:` and a path for a socket; empty for one without a port
    - `ca`: what its certificate is verified by; None: it is not
    - `model`: the name to ask for; None: the first that the server names
    - `key_file`, `key_name`: the env file and the variable with its API key
    - `key_field`: the field of the service that declares one
    - `timeout`: seconds until the first answer
    - `cards`: the GPUs on which it starts in its turn; None: none
    - `nodes`: the hosts of one that runs over several: it is proven on all of them, or on none
    """

    health: bool
    url: str
    ca: str | None = None
    model: str | None = None
    key_file: str | None = None
    key_name: str | None = None
    key_field: str
    checks: list[Check] = many(Check)
    timeout: float
    cards: list[str] | None = None
    nodes: list[str] = []
