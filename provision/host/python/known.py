"""What a Python has told about itself, for as long as its files are the same."""

from __future__ import annotations

import os
from typing import Any, Sequence

from provision.host.machine import Machine
from provision.host.state import durable
from provision.wire import plainjson

_FILE = "pythons.json"
_VERSION = 1


def recall(machine: Machine, path: str) -> list[str] | None:
    """Return what was noted of a Python; None when nothing was noted, or a file of it has changed since."""
    noted = _noted(machine).get(path)
    if noted is None or noted["target"] != os.path.realpath(path):
        return None
    if any(_stamp(file) != stamp for file, stamp in noted["files"].items()):
        return None
    answer: list[str] = noted["answer"]
    return answer


def note(machine: Machine, path: str, files: Sequence[str], answer: list[str]) -> None:
    """Note what a Python has told.

    `recall` returns this `answer` as long as `files` stay the same: program, libraries, and the modules that
    it has started with.
    """
    target = os.path.realpath(path)
    if machine.place is None or target not in files:
        return  # a script that chooses a Python may choose another one next time
    made_from = os.path.join(os.path.dirname(os.path.dirname(path)), "pyvenv.cfg")
    stamps = {file: _stamp(file) for file in {*files, made_from}}
    notes = {**_noted(machine), path: {"target": target, "files": stamps, "answer": answer}}
    try:
        text = plainjson.dumps({"version": _VERSION, "pythons": notes})
        durable.write(os.path.join(machine.place, _FILE), text, mode=0o600)
    except OSError:
        pass  # it is asked again next time


def _noted(machine: Machine) -> dict[str, Any]:
    if machine.place is None:
        return {}
    try:
        found = plainjson.loads(durable.read(os.path.join(machine.place, _FILE)) or "{}")
    except (OSError, ValueError):
        return {}
    return found["pythons"] if isinstance(found, dict) and found.get("version") == _VERSION else {}


def _stamp(path: str) -> list[int] | None:
    """Return what differs once a file has been replaced or written to; None when it is gone."""
    try:
        found = os.stat(path)
    except OSError:
        return None
    return [found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns]
