"""What a service's files were when it last answered, so that a change that fails can be taken back.

One record for each service, `former/<service>`, readable by its owner alone: an env file holds secrets.

    proved()   after a real answer            what runs it and what it was asked; no files yet
    keep()     before a file of it changes    that file as it is
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


def proved(state: str, service: str, runner: Record, probe: Record) -> None:
    """Note what has just answered; what was kept before is of no use any more.

    Args:
        state: provision's directory on the host.
        service: name of the service.
        runner: its unit or process as the request has it: `id`, `type`, `spec`.
        probe: the same of its probe.
    """
    record = {"invocation": marks.proven(state, service), "runner": runner, "probe": probe, "files": {}}
    with _writing:
        _write(state, service, record)


def keep(state: str, service: str, path: str) -> None:
    """Keep a file as it is, unless that was done since the service has last answered."""
    with _writing:
        record = read(state, service)
        if record is not None and path not in record["files"]:
            record["files"][path] = _file(path)
            _write(state, service, record)


def read(state: str, service: str) -> Record | None:
    """Return what has last answered: `runner`, `probe`, and `files` by path; None when that is not known."""
    try:
        record: Record = json.loads(durable.read(_path(state, service)) or "null")
        return record if record["invocation"] == marks.proven(state, service) else None
    except (ValueError, KeyError, TypeError):
        return None


def put_back(record: Record) -> None:
    """Make the kept files what they were; one that was not there goes.

    Raises:
        OSError: as the kernel says.
    """
    for path, was in record["files"].items():
        if was is None:
            atomic.remove(path)
        else:
            atomic.write(path, base64.b64decode(was["content"]), was["mode"], was["uid"], was["gid"])


def forget(state: str, service: str) -> None:
    """Drop the record, because the service has been removed."""
    with _writing:
        durable.remove(_path(state, service))


def _file(path: str) -> Record | None:
    try:
        with open(path, "rb") as file:
            found = os.fstat(file.fileno())
            content = base64.b64encode(file.read()).decode("ascii")
    except FileNotFoundError:
        return None
    mode = stat.S_IMODE(found.st_mode)
    return {"content": content, "mode": mode, "uid": found.st_uid, "gid": found.st_gid}


def _write(state: str, service: str, record: Record) -> None:
    path = _path(state, service)
    os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
    durable.write(path, json.dumps(record) + "\n", mode=0o600)


def _path(state: str, service: str) -> str:
    return os.path.join(state, "former", service)
