"""What a plan says of whom a service trusts: everybody who reaches it, and the author of its model."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from provision.kinds.common.context import ServiceContext

CODE = "--trust-remote-code"
"""The flag of vLLM, SGLang and LMDeploy with which code of the model runs."""


def loopback(address: str | None) -> bool:
    """Say whether only programs of the same host reach an address; None is every address."""
    return address is not None and (address in ("::1", "localhost") or address.startswith("127."))


def everybody(context: ServiceContext[Any], port: int | None, address: str | None, *, key: bool) -> None:
    """Warn of a server that other hosts reach, and that asks for no key.

    Args:
        context: the service.
        port: where it listens; None when it does so on no port.
        address: the address it listens on; None for all.
        key: whether it asks for a key, or for a certificate.
    """
    if port is None or key or loopback(address):
        return
    context.note(
        "open-service",
        f"it has no `api_key`, so everybody who reaches its port {port} may use it",
        hint="give it `api_key: {env: NAME}`, or `host: 127.0.0.1` where only programs of this host need it",
        at=("host",) if context.service.host is not None else (),
    )


def own_code(context: ServiceContext[Any], words: Iterable[object], *, field: bool = False) -> None:
    """Tell of a service that runs code of its model.

    Args:
        context: the service.
        words: its command line, or what its user adds to it.
        field: whether its own field says so.
    """
    flags = (word.replace("_", "-") for word in words if isinstance(word, str) and word.startswith("--"))
    if not field and CODE not in flags:
        return
    user = "whoever applies" if context.user is None else context.user
    context.note(
        "own-code",
        f"it runs the Python code in the directory of its model, as {user} (trust_remote_code)",
        hint="pin a `revision` of the model whose code you have read",
        at=("trust_remote_code",) if field else (),
    )
