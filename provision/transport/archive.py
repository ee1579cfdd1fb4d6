"""The host side as one file: the same bytes everywhere, named by their hash, packed when they changed."""

from __future__ import annotations

import os
from functools import cached_property
from pathlib import Path

import provision
from provision.caches import make, write
from provision.digest import sha256

PACKAGE = Path(provision.__file__).parent
"""Where the sources of this very provision are."""

ROOMS = ("host", "published", "wire")
"""The folders of it that hosts get."""

_FORMAT = 2


class Archive:
    """The sources of `provision/__init__.py` and of the folders in `ROOMS` in one file.

    The name is the SHA-256 of the bytes: it says whether a host has the archive already, and the host checks
    against it what it was sent. Packing is skipped when sizes and times of all sources are as they
    were.

    Args:
        package: directory of the `provision` package.
        cache: private directory for what was packed before; None packs every time.
    """

    def __init__(self, package: Path = PACKAGE, cache: Path | None = None) -> None:
        self.package = package
        self.cache = cache

    @cached_property
    def name(self) -> str:
        """SHA-256 of the archive in hex."""
        if self._kept is not None:
            return self._kept.name.rpartition("-")[2]
        name = sha256(self.data)
        if self.cache is not None:
            self._keep(self.cache, name)
        return name

    @cached_property
    def data(self) -> bytes:
        """The archive itself; read or packed when it is asked for, which a host that has it never does."""
        if self._kept is not None:
            try:
                kept = self._kept.read_bytes()
                if sha256(kept) == self.name:
                    return kept
            except OSError:
                pass
        return pack(self.package)

    @cached_property
    def _kept(self) -> Path | None:
        """The archive that was packed before, from sources that have not changed since."""
        if self.cache is None:
            return None
        try:
            found = os.listdir(self.cache)
        except OSError:
            return None
        return next((self.cache / file for file in found if file.startswith(self._fingerprint)), None)

    @cached_property
    def _fingerprint(self) -> str:
        """What changes with any of the sources, and is quicker to have than their contents."""
        seen: list[object] = [_FORMAT, str(self.package)]
        for path in sources(self.package):
            found = os.stat(f"{self.package}/{path}")
            seen.append((path, found.st_size, found.st_mtime_ns, found.st_ino))
        return sha256(repr(seen).encode())

    def _keep(self, cache: Path, name: str) -> None:
        try:
            make(cache)
            for old in cache.iterdir():
                old.unlink(missing_ok=True)
            write(cache / f"{self._fingerprint}-{name}", self.data)
        except OSError:
            # It only means that the next run packs again.
            pass


def sources(package: Path) -> list[str]:
    """Return the files that an archive of `package` is made of, sorted, by their paths in it."""
    found, rooms = ["__init__.py"], [*ROOMS]
    for room in rooms:  # which grows meanwhile
        for entry in os.scandir(package / room):
            if entry.is_dir():
                rooms += [f"{room}/{entry.name}"] if entry.name != "__pycache__" else []
            elif not entry.name.startswith(".") and not entry.name.endswith(".pyc"):
                found.append(f"{room}/{entry.name}")
    return sorted(found)


def pack(package: Path) -> bytes:
    """Return the texts of all sources by their paths, as JSON packed by zlib; the same for the same sources.

    They are packed together: one by one, as in a zip, they would take half as much again.
    """
    # Not at the top: a run that packs nothing would pay for it.
    import json
    import zlib

    texts = {f"provision/{path}": (package / path).read_text("utf-8") for path in sources(package)}
    return zlib.compress(json.dumps(texts).encode(), 9)
