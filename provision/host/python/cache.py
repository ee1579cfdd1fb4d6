"""What uv has unpacked for the environments of a host: they have links to its files, so it takes no room.

It is beside the environments, on their disk. An environment at a path of its own shares nothing.
"""

from __future__ import annotations

import os
import shutil

from provision.host.failure import Failure
from provision.host.files.paths import delete
from provision.host.machine import Machine
from provision.host.python.look import MARKER
from provision.host.services import processes
from provision.host.state import durable
from provision.wire.specs.environment import EnvironmentSpec

NAME = ".cache"

_UNPACKED = ("archive-", "wheels-", "sdists-", "built-wheels-", "CACHEDIR.TAG")
"""What begins the names of the parts that stay. The others tell of indexes and Pythons, which change."""


def place(spec: EnvironmentSpec) -> str | None:
    """Return the directory of the cache; None for an environment at a path of its own."""
    return os.path.join(os.path.dirname(spec.stem), NAME) if spec.stem else None


def begun(environment: str) -> str | None:
    """Return in which boot of the machine the installation of an environment began that is not complete.

    Empty where an older version has not noted it; None where nothing is incomplete.
    """
    marked = durable.read(os.path.join(environment, MARKER))
    return None if marked is None else marked.partition("\n")[2].strip()


def doubtful(environment: str) -> bool:
    """Whether an installation ended with the machine: a power cut may have left empty files of what it
    unpacked, and nothing would notice.
    """
    since = begun(environment)
    return since is not None and since != processes.boot()


def drop(spec: EnvironmentSpec) -> None:
    """Delete the cache; environments keep their files."""
    path = place(spec)
    if path is not None:
        shutil.rmtree(path, ignore_errors=True)


def freshen(path: str) -> None:
    """Make the cache, or leave in it only what has been unpacked and can be trusted."""
    above = os.path.dirname(path)
    if any(doubtful(os.path.join(above, name)) for name in os.listdir(above)):
        shutil.rmtree(path, ignore_errors=True)
    os.makedirs(path, mode=0o700, exist_ok=True)
    for name in os.listdir(path):
        if not name.startswith(_UNPACKED):
            delete(os.path.join(path, name))


def prune(machine: Machine, spec: EnvironmentSpec, uv: str) -> None:
    """Let uv forget the packages of which no environment has a link any more.

    No uv may install meanwhile: what it has just unpacked has no links yet.

    Args:
        machine: where it is.
        spec: one of the environments.
        uv: the program.
    """
    path = place(spec)
    if path is None or not os.path.isdir(path):
        return
    archives = [
        os.path.join(path, bucket, each)
        for bucket in os.listdir(path)
        if bucket.startswith("archive-")
        for each in os.listdir(os.path.join(path, bucket))
    ]
    unused = [archive for archive in archives if not _linked(archive)]
    if len(unused) == len(archives):
        shutil.rmtree(path)
        return
    names = sorted({name for archive in unused for name in _packages(archive)})
    if not names:
        return
    try:
        machine.run([uv, "cache", "clean", *names], env={"UV_CACHE_DIR": path, "UV_NO_CONFIG": "1"})
    except Failure:
        shutil.rmtree(path)  # the next environment then unpacks everything again


def _linked(path: str) -> bool:
    """Whether a file below a path has another name elsewhere."""
    for directory, _, files in os.walk(path):
        if any(os.lstat(os.path.join(directory, name)).st_nlink > 1 for name in files):
            return True
    return False


def _packages(archive: str) -> list[str]:
    return [name.partition("-")[0] for name in os.listdir(archive) if name.endswith(".dist-info")]
