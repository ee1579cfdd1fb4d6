"""From which commit of their git repository playbooks come, read from its files: git need not be installed.

Formats: gitrepository-layout(5) and gitformat-index(5) of git's documentation.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterable, Iterator
from pathlib import Path

from provision.dataclass import dataclass
from provision.wire.revision import Origin

_ENTRY = struct.Struct(">10I")
"""ctime, mtime (seconds and nanoseconds each), device, inode, mode, user, group, size."""


def origin(folder: Path, files: Iterable[Path] = ()) -> Origin | None:
    """Return the commit that is checked out, and whether what is used differs from it.

    It differs when a tracked file in the folder was changed or removed, something is staged, or one of
    `files` is not tracked.

    Args:
        folder: where the project is.
        files: those that are used for certain.

    Returns:
        None outside of a git repository, before its first commit, and where its files cannot be read.
    """
    try:
        top, git = _repository(folder.resolve())
        common = _common(git)
        commit = _commit(git, common)
        return Origin(commit=commit, dirty=_dirty(top, git, folder.resolve(), files)) if commit else None
    except (OSError, ValueError, struct.error):
        return None


def _repository(folder: Path) -> tuple[Path, Path]:
    """Return the top of the work tree that a folder is in, and its git directory."""
    for top in (folder, *folder.parents):
        git = top / ".git"
        if git.is_dir():
            return top, git
        if git.is_file():  # a further work tree, or a submodule
            return top, top / git.read_text(encoding="utf-8").removeprefix("gitdir:").strip()
    raise FileNotFoundError(folder)


def _common(git: Path) -> Path:
    """Return the directory with the branches, which further work trees share."""
    named = git / "commondir"
    return git / named.read_text(encoding="utf-8").strip() if named.exists() else git


def _commit(git: Path, common: Path) -> str | None:
    said = (git / "HEAD").read_text(encoding="utf-8").strip()
    for _ in range(5):  # a symbolic name may lead to another one
        if not said.startswith("ref:"):
            return said
        name = said.removeprefix("ref:").strip()
        found = [place / name for place in (git, common) if (place / name).is_file()]
        if not found:
            return _packed(common, name)
        said = found[0].read_text(encoding="utf-8").strip()
    return None


def _packed(common: Path, name: str) -> str | None:
    for line in (common / "packed-refs").read_text(encoding="utf-8").splitlines():
        commit, _, ref = line.partition(" ")
        if ref == name:
            return commit
    return None


@dataclass(frozen=True)
class _Tracked:
    """A file as the index has it."""

    path: str
    stamp: int
    """When it was modified, in nanoseconds."""
    size: int
    object: bytes
    mode: int


def _dirty(top: Path, git: Path, folder: Path, files: Iterable[Path]) -> bool:
    content = (git / "index").read_bytes()
    tracked, rest = _index(content)
    if _staged(rest):
        return True
    inside = "" if folder == top else f"{folder.relative_to(top)}/"
    if any(each.path.startswith(inside) and _changed(top / each.path, each) for each in tracked):
        return True
    known = {top / each.path for each in tracked}
    return any(file.resolve() not in known for file in files)


def _index(content: bytes) -> tuple[list[_Tracked], bytes]:
    """Return the files in the index, and what comes after them."""
    signature, version, count = struct.unpack_from(">4sII", content)
    if signature != b"DIRC" or version not in (2, 3, 4):
        raise ValueError("not an index that is known here")
    found, position, path = [], 12, b""
    for _ in range(count):
        begin = position
        _, _, seconds, nanoseconds, _, _, mode, _, _, size = _ENTRY.unpack_from(content, position)
        position += _ENTRY.size
        object, position = content[position : position + 20], position + 20
        (flags,) = struct.unpack_from(">H", content, position)
        position += 4 if flags & 0x4000 else 2
        if version == 4:
            cut, position = _varint(content, position)
            path = path[: len(path) - cut]
        else:
            path = b""
        end = content.index(b"\0", position)
        path += content[position:end]
        position = end + 1 if version == 4 else begin + (end - begin + 8) // 8 * 8
        stamp = seconds * 10**9 + nanoseconds
        found.append(_Tracked(os.fsdecode(path), stamp, size, object, mode))
    return found, content[position:]


def _varint(content: bytes, position: int) -> tuple[int, int]:
    """Return a number as packs and indexes of version 4 write it, and where it ends."""
    value = content[position] & 0x7F
    while content[position] & 0x80:
        position += 1
        value = ((value + 1) << 7) | (content[position] & 0x7F)
    return value, position + 1


def _staged(rest: bytes) -> bool:
    """Whether something was added that is not committed: the index then knows no tree for all of it."""
    for name, data in _extensions(rest):
        if name == b"TREE":
            return data.partition(b"\0")[2].startswith(b"-1 ")
    return False


def _extensions(rest: bytes) -> Iterator[tuple[bytes, bytes]]:
    position = 0
    while position + 8 <= len(rest) - 20:  # a checksum is last
        name, size = struct.unpack_from(">4sI", rest, position)
        yield name, rest[position + 8 : position + 8 + size]
        position += 8 + size


def _changed(path: Path, tracked: _Tracked) -> bool:
    if tracked.mode & 0o170000 == 0o160000:
        return False  # a submodule
    try:
        found = path.lstat()
        if found.st_size & 0xFFFFFFFF == tracked.size and found.st_mtime_ns == tracked.stamp:
            return False
        data = os.fsencode(os.readlink(path)) if path.is_symlink() else path.read_bytes()
    except OSError:
        return True
    # Here, as hardly a file is read: it only looks changed.
    import hashlib

    return hashlib.sha1(b"blob %d\0" % len(data) + data, usedforsecurity=False).digest() != tracked.object
