"""The files of a certificate: a change restarts the service, and its user has to be able to read them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from provision.config.problems import Problem
from provision.kinds.common import files
from provision.wire.specs.file import FileSpec

if TYPE_CHECKING:
    from provision.config.services.base import SpokenTls, Tls
    from provision.kinds.common.context import ServiceContext


def paths(tls: Tls | SpokenTls | None) -> list[str]:
    """Return the files of the certificate and its key."""
    return [path for path in (tls.cert, tls.key) if path is not None] if tls is not None else []


def ca(tls: Tls | SpokenTls | None) -> str | None:
    """Return the file by which checks verify the certificate; None when they do not."""
    return tls.ca if tls is not None else None


def needed(context: ServiceContext[Any], paths: Sequence[str]) -> list[str]:
    """Return the ids of the files that are declared; note each that the user of the service cannot read."""
    builder = context.builder
    ids = files.named(builder, paths)
    for id in ids:
        file = builder.spec(id, FileSpec)
        if file is None or context.user in (None, "root", file.owner) or _open(file):
            continue
        message = (
            f"service {context.name} runs as {context.user}, who cannot read {file.path} (mode {file.mode})"
        )
        position = builder.resources[id].position
        hint = f"give the file `owner: {context.user}`"
        builder.problems.append(Problem("unreadable-by-service", position, message, hint))
    return ids


def _open(file: FileSpec) -> bool:
    """Say whether others than its owner can read a file: everybody, or a group that was chosen."""
    bits = int(file.mode, 8)
    return bool(bits & 0o004) or (file.group not in (None, "root") and bool(bits & 0o040))
