"""What a downloaded model consists of, kept beside its files, and the check of these against it."""

from __future__ import annotations

import concurrent.futures
import hashlib
import json
import os
from typing import Any, Callable, Mapping, NamedTuple

from provision.host.files.paths import human
from provision.host.light import plainjson
from provision.host.state import durable

NAME = ".provision-manifest.json"

BLOCK = 4 << 20
"""Bytes read at a time for hashing."""


class Record(NamedTuple):
    """One file as it was when it was found to be right."""

    size: int
    sha256: str
    mtime_ns: int


class Manifest(NamedTuple):
    """A model directory's contents, as far as they are ours."""

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
    """Directories above the model's own that were made for it."""


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
    """Write a manifest; afterwards it is whole, or the old one still there."""
    data = manifest._asdict()
    data["files"] = {path: record._asdict() for path, record in sorted(manifest.files.items())}
    durable.write(os.path.join(directory, NAME), json.dumps({"version": 1, **data}, indent=1) + "\n")


def wrong(directory: str, files: Mapping[str, Record], deep: bool) -> dict[str, str]:
    """Return what is wrong with files of a manifest: path -> "missing", "12 MB", "damaged".

    Args:
        directory: the model's directory.
        files: what should be there.
        deep: read every file; otherwise only one whose time of modification is not the recorded one.
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
    """Return a size so that it reads differently from another one that differs."""
    return human(size) if human(size) != human(other) else f"{size} bytes"


def sha256_of(
    paths: list[str], tell: Callable[[int], None] | None = None, cancelled: Callable[[], bool] = lambda: False
) -> dict[str, str | None]:
    """Return the hash of each file, None for one that cannot be read; several are read at once.

    Args:
        paths: the files.
        tell: called with each number of further bytes read.
        cancelled: asked between blocks; when it says so, the rest is left out.
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
