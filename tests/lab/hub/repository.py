"""A model of the hub: the files below a folder, with their sizes and hashes."""

from __future__ import annotations

import hashlib
import threading
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class File:
    """One file of a repository."""

    name: str
    """Its path inside the repository, with slashes."""
    path: Path
    size: int
    sha256: str


TAGS = ("v1.0", "v2.0", "v3.0")


class Repository:
    """Reads the folder anew for each request; hashes a file again only when it has changed."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._hashes: dict[tuple[Path, int, int], str] = {}
        self._lock = threading.Lock()

    def files(self) -> list[File]:
        """All files, sorted by name."""
        found = []
        for path in sorted(self.folder.rglob("*")):
            if path.is_file():
                name = path.relative_to(self.folder).as_posix()
                found.append(File(name, path, path.stat().st_size, self._sha256(path)))
        return found

    def file(self, name: str) -> File | None:
        """The file by this name, or None."""
        return next((file for file in self.files() if file.name == name), None)

    def commit(self) -> str:
        """A commit id that changes with the content."""
        return hashlib.sha1(
            "".join(f"{file.name}{file.sha256}" for file in self.files()).encode()
        ).hexdigest()

    def has_revision(self, revision: str) -> bool:
        """Whether a branch, a tag or the commit has this name."""
        return revision in ("master", "main", *TAGS, self.commit())

    def _sha256(self, path: Path) -> str:
        stat = path.stat()
        key = (path, stat.st_mtime_ns, stat.st_size)
        with self._lock:
            if key not in self._hashes:
                with path.open("rb") as handle:
                    self._hashes[key] = hashlib.file_digest(handle, "sha256").hexdigest()
            return self._hashes[key]
