"""What loading and compiling read, so that a later run can tell whether it would read the same.

All that they take from the file system goes through this module.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import field
from pathlib import Path

from provision.dataclass import dataclass
from provision.digest import sha256

NOTHING = ""
"""What is seen of a file that is not there, or that cannot be read."""

_LARGEST = 16 << 20


@dataclass
class Inputs:
    """What was seen at each path: a name for the content of a file, or for the entries of a directory.

    Args:
        seen: by path.
        repeatable: False when something was read that may differ every time, such as the output of a
            program.
    """

    seen: dict[str, str] = field(default_factory=dict)
    repeatable: bool = True

    def unchanged(self) -> bool:
        """Whether each path would be seen again as it was."""
        return self.repeatable and all(_look(path) == seen for path, seen in self.seen.items())


_watching: list[Inputs] = []


@contextmanager
def watched() -> Iterator[Inputs]:
    """Note what is read inside the block."""
    inputs = Inputs()
    _watching.append(inputs)
    try:
        yield inputs
    finally:
        _watching.remove(inputs)


def content(path: Path, limit: int | None = None) -> bytes:
    """Return what a file holds; with a limit, at most so many bytes and one more.

    Raises:
        OSError: it cannot be read.
    """
    try:
        with path.open("rb") as stream:
            data = stream.read() if limit is None else stream.read(limit + 1)
    except OSError:
        _note(path, NOTHING)
        raise
    _note(path, _of_file(str(path), data))
    return data


def entries(folder: Path) -> list[Path] | None:
    """Return what is in a directory, sorted; None when it is no directory.

    Raises:
        OSError: it cannot be read.
    """
    if not folder.is_dir():
        _note(folder, _look(str(folder)))
        return None
    _note(folder, _of_folder(str(folder)))
    return sorted(folder.iterdir())


def unrepeatable() -> None:
    """Note that what is read may differ every time."""
    for inputs in _watching:
        inputs.repeatable = False


def _note(path: Path, seen: str) -> None:
    for inputs in _watching:
        if inputs.seen.setdefault(str(path), seen) != seen:
            # It changed while it was read, so the result belongs to neither state.
            inputs.repeatable = False


def _look(path: str) -> str:
    try:
        found = os.stat(path)
        if stat.S_ISDIR(found.st_mode):
            return _of_folder(path)
        if not stat.S_ISREG(found.st_mode) or found.st_size > _LARGEST:
            return NOTHING
        with open(path, "rb") as stream:
            return _of_file(path, stream.read(_LARGEST))
    except OSError:
        return NOTHING


def _of_file(path: str, data: bytes) -> str:
    """Name a file's content and kind: in an inventory, an executable file has another meaning."""
    kind = "program" if os.access(path, os.X_OK) else "file"
    return f"{kind} {sha256(data)}"


def _of_folder(path: str) -> str:
    with os.scandir(path) as found:
        names = sorted(
            (each.name, each.is_dir(), each.is_file(), os.access(each.path, os.X_OK)) for each in found
        )
    return f"folder {sha256(repr(names).encode())}"
