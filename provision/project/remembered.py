"""What earlier runs compiled, used again as long as nothing that it was made from has changed.

A run that finds the same files does not read, check and compile them again, and does not import the modules
that do so. What counts is content: every file that was read, and every directory that was listed, is
compared. Nothing is remembered that may differ each time (an inventory that is a program), nor what came by
`-e`, which may be secret, nor a text that is declared secret. Other secrets are references in what was
compiled, never values.

It is worth its lines: loading 1 to 100 hosts takes 0.08 to 0.1 s of CPU instead of 0.47 to 0.59, most of
which is the import of pydantic and of the models of all kinds; a converged apply of ten hosts, 0.20 s instead
of 0.58 (docs/benchmarks.md).
"""

from __future__ import annotations

import os
import sys

# `pickle` has all of it in Python, too, which takes three times as long to import.
from _pickle import load as load_pickle
from collections.abc import Iterator
from pathlib import Path

import provision
from provision.caches import cache, make, write
from provision.catalog.text import NotKeptError
from provision.config import inputs
from provision.config.hosts import systemd_here
from provision.config.inputs import Inputs
from provision.digest import sha256
from provision.project.project import Project, Selection, find_root

KEPT = 32
"""How many selections are remembered; the least recently used one is forgotten."""

PACKAGE = Path(provision.__file__).parent


def load(selection: Selection) -> Project:
    """Return what a selection means for each host, from memory when that is still true.

    Raises:
        ConfigError: anything that is wrong with the input.
    """
    path = None if selection.extra else _place(selection)
    project = _recall(path) if path else None
    if project is not None:
        return project
    # Here, as what it needs takes longer to import than all else.
    from provision.project import load as loading

    with inputs.watched() as seen:
        project = loading.load(selection)
    if path is not None and seen.repeatable:
        _keep(path, seen, project)
    return project


def _place(selection: Selection) -> Path:
    """Return the file for what this provision makes of a selection, for this user, from this directory."""
    about = [
        selection.playbooks,
        selection.inventories,
        selection.limit,
        sorted(selection.tags),
        selection.locked,
        find_root(selection.playbooks),
        os.getcwd(),
        os.geteuid(),
        systemd_here(),
        os.path.expanduser("~"),
        *_software(),
    ]
    return cache("compiled") / sha256(repr(about).encode())


def _recall(path: Path) -> Project | None:
    """Return what was compiled from exactly the files that are there now."""
    try:
        if not _private(path.parent) or not _private(path):
            return None
        with path.open("rb") as file:
            seen = load_pickle(file)
            if not isinstance(seen, Inputs) or not seen.unchanged():
                return None
            project = load_pickle(file)
        os.utime(path)
        return project if isinstance(project, Project) else None
    except Exception:  # a damaged pickle may raise anything; then it is compiled again
        return None


def _keep(path: Path, seen: Inputs, project: Project) -> None:
    """Remember what was compiled, and from what."""
    import pickle

    try:
        data = pickle.dumps(seen) + pickle.dumps(project)
        make(path.parent)
        if _private(path.parent):
            write(path, data)
            kept = sorted(path.parent.iterdir(), key=lambda each: each.stat().st_mtime)
            for old in kept[:-KEPT]:
                old.unlink(missing_ok=True)
    except (NotKeptError, OSError):
        pass  # the next run compiles again


def _private(path: Path) -> bool:
    """Whether only this user can write there: pickles must not come from anyone else."""
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
