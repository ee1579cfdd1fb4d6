"""Locks of models: which files are others than locked, and whether a hub still has the locked ones."""

from __future__ import annotations

from typing import Mapping, Sequence

from provision.host import kind
from provision.host.failure import Failure
from provision.host.models.hubs.listing import RemoteFile
from provision.host.models.manifest import Record
from provision.wire.specs.model import LockedModel

OTHER = "another content"
"""How a file is that is whole, but not the locked one."""

NOT_LOCKED = "not locked"

EXPECTED: Mapping[str, str | None] = {OTHER: "as locked", NOT_LOCKED: None}
"""How such files should be."""


def wrong(files: Mapping[str, Record], lock: LockedModel) -> dict[str, str]:
    """Return the files that are not as they are locked, and how they are: missing, or one of the above."""
    found = dict.fromkeys(files.keys() - lock.files.keys(), NOT_LOCKED)
    for name, sha256 in lock.files.items():
        record = files.get(name)
        if record is None or record.sha256 != sha256:
            found[name] = OTHER if record else "missing"
    return found


def differing(files: Sequence[RemoteFile], lock: LockedModel) -> list[str]:
    """Return the locked files that a hub does not list, or lists with another hash."""
    listed = {file.path: file.sha256 for file in files}
    return [
        name
        for name, sha256 in sorted(lock.files.items())
        if name not in listed or listed[name] not in (None, sha256)
    ]


def exactly(files: Sequence[RemoteFile], lock: LockedModel, repo: str) -> list[RemoteFile]:
    """Return the locked files, each with its locked hash.

    Raises:
        Failure: the hub does not have all of them any more.
    """
    differ = differing(files, lock)
    if differ:
        listed = {file.path: file.sha256 for file in files}
        first = differ[0]
        has = f"sha256 {str(listed[first])[:12]}…" if first in listed else "nothing"
        said = f"{first} of {repo} is not what {lock.lock} has: the hub has {has}"
        more = f" (and {len(differ) - 1} more)" if differ[1:] else ""
        locked = f", locked {lock.files[first][:12]}…"
        raise Failure("lock-mismatch", f"{said}{locked}{more}", hint=kind.RESTORE)
    return [file._replace(sha256=lock.files[file.path]) for file in files if file.path in lock.files]
