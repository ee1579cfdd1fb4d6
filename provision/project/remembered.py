"""What earlier runs compiled, used again as long as nothing that it was made of has changed.

A run that finds the same files spares itself the reading, checking and compiling, and the import of what does
that. What counts is content: every file that was read, and every directory that was listed, is looked at
again. Nothing is remembered that may be another thing every time (an inventory that is a program), nor what
came by `-e`, which may be secret, nor a text that is declared secret. Other secrets are references in what
was compiled, never values.

It is worth its lines: loading one host, 10 or 100 takes 0.08 to 0.1 s of CPU instead of 0.47 to 0.59, most of
which is the import of pydantic and of the models of all kinds; a converged apply of ten hosts, 0.20 s instead
of 0.58 (docs/benchmarks.md).
"""

from __future__ import annotations

import hashlib
import os
import pickle
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import provision
from provision.caches import cache, make
from provision.catalog.text import NotKeptError
from provision.config import inputs
from provision.config.hosts import systemd_here
from provision.config.inputs import Inputs
from provision.project.project import Project, Selection, find_root

KEPT = 32
"""Selections that are remembered; the one that was not used for the longest time is forgotten."""

PACKAGE = Path(provision.__file__).parent


def load(selection: Selection) -> Project:
    """Return what a selection means for each host, from memory when that is still true.

    Raises:
        ConfigError: anything that is wrong with the input.
    """
    memory = None if selection.extra else _Memory.of(selection)
    project = memory.recall() if memory else None
    if project is not None:
        return project
    # Here, as what it needs takes longer to import than all else.
    from provision.project import load as loading

    with inputs.watched() as seen:
        project = loading.load(selection)
    if memory is not None and seen.repeatable:
        memory.keep(seen, project)
    return project


class _Memory:
    """One file in a directory that only this user can write to: pickles must not come from anyone else."""

    def __init__(self, folder: Path, name: str) -> None:
        self.folder = folder
        self.path = folder / name

    @classmethod
    def of(cls, selection: Selection) -> _Memory:
        """Return the place for what this provision makes of a selection, for this user, from here."""
        about = [
            *(str(path) for path in selection.playbooks),
            None,
            *(str(path) for path in selection.inventories),
            selection.limit,
            sorted(selection.tags),
            str(find_root(selection.playbooks)),
            os.getcwd(),
            os.geteuid(),
            systemd_here(),
            os.path.expanduser("~"),
            *_software(),
        ]
        return cls(cache("compiled"), hashlib.sha256(repr(about).encode()).hexdigest())

    def recall(self) -> Project | None:
        """Return what was compiled from the very files that are there now."""
        try:
            if not _private(self.folder) or not _private(self.path):
                return None
            with self.path.open("rb") as file:
                seen = pickle.load(file)
                if not isinstance(seen, Inputs) or not seen.unchanged():
                    return None
                project = pickle.load(file)
            os.utime(self.path)
            return project if isinstance(project, Project) else None
        except Exception:  # a damaged pickle may raise anything, and means no more than to compile
            return None

    def keep(self, seen: Inputs, project: Project) -> None:
        """Remember what was compiled, and from what."""
        work = self.path.with_suffix(f".{os.getpid()}")
        try:
            data = pickle.dumps(seen) + pickle.dumps(project)
        except NotKeptError:
            return
        try:
            make(self.folder)
            if not _private(self.folder):
                return
            handle = os.open(work, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(handle, "wb") as file:
                file.write(data)
            work.replace(self.path)
            kept = sorted(self.folder.iterdir(), key=lambda path: path.stat().st_mtime)
            for old in kept[:-KEPT]:
                old.unlink(missing_ok=True)
        except OSError:
            # It only means that the next run compiles again.
            with suppress(OSError):
                work.unlink()


def _private(path: Path) -> bool:
    found = path.lstat()
    return found.st_uid == os.geteuid() and not found.st_mode & 0o022


def _software() -> Iterator[object]:
    """Name the code that compiles: this package by its files, and what it builds on by what is installed."""
    yield sys.version
    for path in sys.path:
        if path.endswith("site-packages"):
            try:
                yield path, os.stat(path).st_mtime_ns
            except OSError:
                continue
    yield from _files(PACKAGE)


def _files(folder: Path | str) -> Iterator[object]:
    with os.scandir(folder) as entries:
        for entry in sorted(entries, key=lambda entry: entry.name):
            if entry.is_dir():
                if entry.name != "__pycache__":
                    yield from _files(entry.path)
            else:
                found = entry.stat()
                yield entry.path, found.st_size, found.st_mtime_ns, found.st_ino
