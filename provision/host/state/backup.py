"""The files with which a service last answered, so that a change that fails can be taken back.

There is one record for each service, `former/<service>`, which only its owner can read: an env file holds
secrets.

    save()      before a file of the service changes    adds the file as it is
    restore()   after a change that failed              writes the saved files
    commit()    after an answer                         begins a new record without files
"""

from __future__ import annotations

import base64
import json
import os
import stat
import threading
from typing import Any, Dict

from provision.host.files import atomic
from provision.host.state import durable, marks

Record = Dict[str, Any]

_writing = threading.Lock()


def commit(state: str, service: str, runner: Record, probe: Record, life: str | None = None) -> None:
    """Begin a new record for a service that has just answered, and drop the saved files.

    Args:
        state: provision's directory on the host.
        service: name of the service.
        runner: its unit or process as in the request: `id`, `type`, `spec`.
        probe: the same of its probe.
        life: the one that has answered, if that is not noted yet.
    """
    life = life or marks.proven(state, service)
    record = {"invocation": life, "runner": runner, "probe": probe, "files": {}}
    with _writing:
        _write(state, service, record)


def save(state: str, service: str, path: str) -> None:
    """Save a file as it is, unless it was already saved since the last answer of the service."""
    with _writing:
        record = read(state, service)
        if record is not None and path not in record["files"]:
            record["files"][path] = content(path)
            _write(state, service, record)


def read(state: str, service: str) -> Record | None:
    """Return the record: `runner`, `probe`, and `files` by path; None if it is not of the last answer."""
    try:
        record: Record = json.loads(durable.read(_path(state, service)) or "null")
        return record if record["invocation"] == marks.answered(state, service) else None
    except (ValueError, KeyError, TypeError):
        return None


def restore(record: Record) -> None:
    """Write the saved files; remove those that did not exist.

    Raises:
        OSError: as the kernel says.
    """
    for path, was in record["files"].items():
        if was is None:
            atomic.remove(path)
        else:
            atomic.write(path, base64.b64decode(was["content"]), was["mode"], was["uid"], was["gid"])


def forget(state: str, service: str) -> None:
    """Remove the record of a service that has been removed."""
    with _writing:
        durable.remove(_path(state, service))


def content(path: str) -> Record | None:
    """Return a file as it is, to be written again by `restore`; None when there is none."""
    try:
        with open(path, "rb") as file:
            found = os.fstat(file.fileno())
            encoded = base64.b64encode(file.read()).decode("ascii")
    except FileNotFoundError:
        return None
    mode = stat.S_IMODE(found.st_mode)
    return {"content": encoded, "mode": mode, "uid": found.st_uid, "gid": found.st_gid}


def _write(state: str, service: str, record: Record) -> None:
    path = _path(state, service)
    os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
    durable.write(path, json.dumps(record) + "\n", mode=0o600)


def _path(state: str, service: str) -> str:
    return os.path.join(state, "former", service)
