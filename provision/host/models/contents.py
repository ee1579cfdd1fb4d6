"""The files in a model's directory: those of the model, and what the hubs' libraries keep beside them."""

from __future__ import annotations

import os
import re
import threading
from typing import Iterable, Mapping, Sequence

from provision.host.failure import Failure
from provision.host.files.paths import delete, remove_empty
from provision.host.machine import Machine
from provision.host.models import fetch
from provision.host.models import manifest as manifests
from provision.host.models.hubs.listing import RemoteFile
from provision.host.models.manifest import Record

LEFTOVERS = (".cache/huggingface", "._____temp")
"""What the libraries keep in a model's directory, to resume a download later."""

UNSAFE = "[\x00-\x1f\x7f\ud800-\udfff]"
"""What no file of a model has in its name: control characters, and what is no text."""

FILLED = "there, with files"


class Contents:
    """The files below one directory, which need not exist."""

    def __init__(self, path: str) -> None:
        self.path = path

    def state(self) -> str | None:
        """Return what is there, in words; None when nothing is."""
        if not os.path.exists(self.path):
            return None
        if not os.path.isdir(self.path):
            return "not a directory"
        return FILLED if self.names() else "empty"

    def names(self) -> list[str]:
        """Return the files, without those that a library keeps there for itself."""
        found = []
        for parent, _, names in os.walk(self.path):
            for name in names:
                path = os.path.relpath(os.path.join(parent, name), self.path)
                if path != manifests.NAME and not path.startswith(LEFTOVERS):
                    found.append(path)
        return found

    def check_inside(self, names: Iterable[str], listed: str) -> None:
        """Refuse names under which a file would be written elsewhere, or in the place of ours.

        Args:
            names: as a hub lists them.
            listed: the beginning of the message.

        Raises:
            Failure: one of them is no name of a file of a model.
        """
        top = os.path.realpath(self.path)
        parents = set()
        for name in names:
            if re.search(UNSAFE, name) or name == manifests.NAME or {"", ".", ".."} & set(name.split("/")):
                message = f"{listed} a file outside of the directory, or that is none: {name!r}"
                raise Failure("download-failed", message, hint="do not use this model, or this hub")
            parents.add(os.path.dirname(name))
        for parent in sorted(parents):
            place = os.path.realpath(self._path(parent)) if parent else top
            if place != top and not place.startswith(os.path.join(top, "")):
                message = f"{self._path(parent)} is a link that leads out of the directory, to {place}"
                raise Failure(
                    "download-failed", f"{listed} files in {parent}, but {message}", hint="remove the link"
                )

    def has(self, file: RemoteFile) -> bool:
        """Whether a file is there, with the size that the hub says."""
        try:
            return os.stat(self._path(file.path)).st_size == file.size
        except OSError:
            return False

    def verify(
        self, machine: Machine, id: str, files: Iterable[RemoteFile], before: Mapping[str, Record]
    ) -> dict[str, Record]:
        """Return a record of each file whose content is what the hub says.

        Args:
            machine: where they are.
            id: the model's resource, in whose name the progress is told.
            files: files that are there.
            before: what was recorded of them; a file that has not changed since is not read.
        """
        good: dict[str, Record] = {}
        unknown: dict[str, RemoteFile] = {}
        for file in files:
            path, record = self._path(file.path), before.get(file.path)
            untouched = record is not None and os.stat(path).st_mtime_ns == record.mtime_ns
            if record and untouched and file.sha256 in (None, record.sha256) and not machine.deep:
                good[file.path] = record
            else:
                unknown[path] = file
        total, done, told = sum(file.size for file in unknown.values()), 0, 0
        lock = threading.Lock()

        def tell(size: int) -> None:
            nonlocal done, told
            with lock:
                done += size
                if done - told > total // 50 + (64 << 20):
                    told = done
                    machine.progress(id, done, total, text="checking")

        hashes = manifests.sha256_of(list(unknown), tell, machine.cancelled.is_set)
        machine.sleep(0)  # raises when the run is cancelled: a file that was half read is not a damaged one
        for path, file in unknown.items():
            known = None if file.git_sha1 else before.get(file.path)
            found, expected = hashes[path], file.sha256 or (known.sha256 if known else None)
            if found is None or (expected and found != expected):
                continue
            if not file.git_sha1 or manifests.git_sha1(path) == file.git_sha1:
                good[file.path] = Record(file.size, found, os.stat(path).st_mtime_ns)
        return good

    def missing_bytes(self, files: Iterable[RemoteFile]) -> int:
        """Return how many bytes of these files have not arrived yet."""
        missing = 0
        for file in files:
            parts = self._parts(file.path)
            missing += max(0, file.size - sum(os.path.getsize(path) for path in parts))
        return missing - fetch.arrived(self._path(LEFTOVERS[0]), set())

    def discard(self, files: Iterable[RemoteFile]) -> None:
        """Delete files that are to be downloaded again; the parts of them that have arrived stay."""
        for file in files:
            delete(self._path(file.path))

    def delete(self, names: Iterable[str]) -> None:
        """Delete files, the parts of them that have arrived, and directories that are empty then."""
        for name in names:
            path = self._path(name)
            for found in (path, *self._parts(name)):
                delete(found)
            parent = os.path.dirname(path)
            while parent.startswith(self.path + os.sep) and remove_empty(parent):
                parent = os.path.dirname(parent)

    def clean(self, *more: str) -> None:
        """Delete what the libraries keep there, and `more`."""
        for name in (*LEFTOVERS, *more):
            delete(self._path(name))
        remove_empty(self._path(".cache"))

    def _path(self, name: str) -> str:
        return os.path.join(self.path, name)

    def _parts(self, name: str) -> Sequence[str]:
        """Return the files beside a file in which ModelScope's library keeps the parts that have arrived."""
        parent, name = os.path.split(self._path(name))
        try:
            others = os.listdir(parent)
        except OSError:
            return []
        partial = re.compile(re.escape(name) + r"(\.incomplete|\.parallel_tmp|_\d+_\d+)")
        return [os.path.join(parent, other) for other in others if partial.fullmatch(other)]
