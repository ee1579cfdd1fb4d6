"""The list of a downloaded model's files, kept beside them, and the check of the files against it."""

from __future__ import annotations

import concurrent.futures
import hashlib
import json
import os
from typing import Any, Callable, Mapping, NamedTuple

from provision.host.files.paths import human
from provision.host.state import durable
from provision.wire import plainjson
from provision.wire.specs.model import title as title

NAME = ".provision-manifest.json"

BLOCK = 4 << 20
"""Bytes read at a time for hashing."""


class Record(NamedTuple):
    """One file as it was when its content was last found correct."""

    size: int
    sha256: str
    mtime_ns: int


class Manifest(NamedTuple):
    """The files in a model's directory that belong to the model."""

    source: str
    repo: str
    revision: str
    allow: list[str]
    ignore: list[str]
    commit: str | None
    complete: bool
    files: dict[str, Record]
    pending: list[str]
    """Files that were still to come when this was written."""
    directories: list[str]
    """Directories above the model's own that were made with it."""


def load(directory: str) -> Manifest | None:
    """Return the manifest of a model directory, or None when there is none that can be read."""
    try:
        data: dict[str, Any] = plainjson.loads(durable.read(os.path.join(directory, NAME)) or "{}")
        if data.pop("version") != 1:
            return None
        data["files"] = {path: Record(**record) for path, record in data["files"].items()}
        return Manifest(**data)
    except (KeyError, TypeError, ValueError, AttributeError):
        return None


def save(directory: str, manifest: Manifest) -> None:
    """Replace the manifest; after a crash, the old or the new one is there, whole."""
    data = manifest._asdict()
    data["files"] = {path: record._asdict() for path, record in sorted(manifest.files.items())}
    durable.write(os.path.join(directory, NAME), json.dumps({"version": 1, **data}, indent=1) + "\n")


def wrong(directory: str, files: Mapping[str, Record], deep: bool) -> dict[str, str]:
    """Return what is wrong with the files that should be there: path -> "missing", "12 MB", "damaged".

    With `deep` every file is read, otherwise only those whose time of modification is not the recorded one.
    """
    found: dict[str, str] = {}
    read = []
    for path, record in files.items():
        try:
            status = os.stat(os.path.join(directory, path))
        except OSError:
            found[path] = "missing"
            continue
        if status.st_size != record.size:
            found[path] = size_text(status.st_size, record.size)
        elif deep or status.st_mtime_ns != record.mtime_ns:
            read.append(path)
    hashes = sha256_of([os.path.join(directory, path) for path in read])
    for path in read:
        if hashes[os.path.join(directory, path)] != files[path].sha256:
            found[path] = "damaged"
    return found


def size_text(size: int, other: int) -> str:
    """Return a size as text that differs from the text of another size."""
    return human(size) if human(size) != human(other) else f"{size} bytes"


def sha256_of(
    paths: list[str], tell: Callable[[int], None] | None = None, cancelled: Callable[[], bool] = lambda: False
) -> dict[str, str | None]:
    """Return the hash of each file, None for one that cannot be read; several are read at once.

    `tell` is called with the number of bytes of each block. Once `cancelled` says so, nothing more is read.
    """

    def hash_one(path: str) -> str | None:
        digest = hashlib.sha256()
        try:
            with open(path, "rb", buffering=0) as file:
                while not cancelled():
                    block = file.read(BLOCK)
                    if not block:
                        return digest.hexdigest()
                    digest.update(block)
                    if tell:
                        tell(len(block))
        except OSError:
            pass
        return None

    if not paths:
        return {}
    with concurrent.futures.ThreadPoolExecutor(min(4, os.cpu_count() or 1)) as pool:
        return dict(zip(paths, pool.map(hash_one, paths)))


def git_sha1(path: str) -> str:
    """Return the id that git gives a file's content."""
    digest = hashlib.sha1(f"blob {os.path.getsize(path)}\0".encode())
    with open(path, "rb") as file:
        for block in iter(lambda: file.read(BLOCK), b""):
            digest.update(block)
    return digest.hexdigest()
