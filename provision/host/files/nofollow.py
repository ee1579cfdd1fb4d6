"""Opening a path without following symbolic links that somebody else has made.

Root writes below directories that others may write to (`/tmp`, a home). There a link, made before or between
two of our steps, could turn a harmless path into `/etc/shadow`. So a path is opened here component by
component through directory descriptors, and root follows only links that root has made.
"""

from __future__ import annotations

import errno
import os
import stat
from typing import Generic, TypeVar

from provision.host.failure import Failure

T = TypeVar("T")

_MAX_LINKS = 40
_LOOK = os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC


class Opened(Generic[T]):
    """A descriptor that is closed at the end of a `with` block, which gets `value`."""

    def __init__(self, descriptor: int, value: T) -> None:
        self._descriptor = descriptor
        self._value = value

    def __enter__(self) -> T:
        return self._value

    def __exit__(self, *error: object) -> None:
        os.close(self._descriptor)


def parent(path: str, create: bool = False) -> Opened[tuple[int, str]]:
    """Open the directory that holds `path`; a `with` block gets its descriptor and the last component.

    The descriptor can only be used for `dir_fd` arguments (`O_PATH`).

    Args:
        path: an absolute path.
        create: make missing directories on the way, with mode 0755.

    Raises:
        OSError: a component is missing, not a directory, or may not be searched.
        Failure: a link on the way is not to be trusted, or the path is not absolute.
    """
    directory, name = os.path.split(os.path.normpath(path))
    descriptor = _walk(directory, create)
    return Opened(descriptor, (descriptor, name))


def directory(path: str) -> Opened[int]:
    """Open a directory; descriptor and errors as for `parent`."""
    descriptor = _walk(path, create=False)
    return Opened(descriptor, descriptor)


def _walk(path: str, create: bool) -> int:
    if not path.startswith("/"):
        raise Failure("wrong-path", f"{path}: not an absolute path")
    todo = _components(path)
    links = 0
    here = _root()
    try:
        while todo:
            name = todo.pop(0)
            there = _step(here, name, path, create)
            found = os.fstat(there)
            if stat.S_ISLNK(found.st_mode):
                target = os.readlink("", dir_fd=there)
                os.close(there)
                links += 1
                if links > _MAX_LINKS:
                    raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), path)
                _trust(found, path, target)
                todo = _components(target) + todo
                if target.startswith("/"):
                    os.close(here)
                    here = _root()
                continue
            os.close(here)
            here = there
            if not stat.S_ISDIR(found.st_mode):
                raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), path)
    except BaseException:
        os.close(here)
        raise
    return here


def make_directory(inside: int, name: str, mode: int) -> None:
    """Make a directory with exactly `mode`; one that exists by now stays as it is."""
    try:
        os.mkdir(name, 0o700, dir_fd=inside)
    except FileExistsError:
        return
    made = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=inside)
    try:
        os.fchmod(made, mode)
    finally:
        os.close(made)


def sync_directory(directory: int) -> None:
    """Make the entries of an `O_PATH` directory durable."""
    try:
        readable = os.open(".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=directory)
    except PermissionError:
        return  # a directory that one may write to but not read cannot be synced
    try:
        os.fsync(readable)
    finally:
        os.close(readable)


def _step(here: int, name: str, path: str, create: bool) -> int:
    try:
        return os.open(name, _LOOK, dir_fd=here)
    except FileNotFoundError:
        if not create:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), path) from None
    make_directory(here, name, 0o755)
    return os.open(name, _LOOK, dir_fd=here)


def _trust(link: os.stat_result, path: str, target: str) -> None:
    """Raise `Failure` when root would follow a link that somebody else has made."""
    if os.geteuid() == 0 and link.st_uid != 0:
        raise Failure(
            "foreign-link",
            f"{path} leads through a symbolic link to {target} that user id {link.st_uid} has made",
            hint=f"root follows only its own links: declare the real path, below {target}",
        )


def _root() -> int:
    return os.open("/", _LOOK | os.O_DIRECTORY)


def _components(path: str) -> list[str]:
    return [part for part in path.split("/") if part not in ("", ".")]
