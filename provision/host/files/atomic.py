"""Replacing a file: everybody sees either the old or the new one, complete, with its owner and mode."""

from __future__ import annotations

import os
from hashlib import sha256

from provision.host.files import nofollow


def write(path: str, data: bytes, mode: int, uid: int = -1, gid: int = -1) -> None:
    """Put a new file in the place of `path`, or leave everything as it was.

    The new file is made beside the old one, readable by nobody else until it is whole, and is on disk before
    it takes the name. A symbolic link in its place is replaced, and never followed.

    Args:
        path: an absolute path in a directory that exists.
        data: the content.
        mode: the permission bits; the umask does not count.
        uid: the owner's number; -1 is the user who runs this.
        gid: the group's number; -1 is the default of the directory.

    Raises:
        OSError: as the kernel says.
        Failure: the path leads through a link that is not to be trusted.
    """
    with nofollow.parent(path) as (directory, name):
        temporary = _temporary(name)
        _discard(temporary, directory)
        try:
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
            descriptor = os.open(temporary, flags, 0o600, dir_fd=directory)
            with os.fdopen(descriptor, "wb") as file:
                file.write(data)
                file.flush()
                if uid != -1 or gid != -1:
                    os.fchown(descriptor, uid, gid)
                os.fchmod(descriptor, mode)
                os.fsync(descriptor)
            os.rename(temporary, name, src_dir_fd=directory, dst_dir_fd=directory)
        except BaseException:
            _discard(temporary, directory)
            raise
        nofollow.sync_directory(directory)


def remove(path: str) -> bool:
    """Remove a file or link, with what a killed `write` has left beside it.

    Returns: whether it was there.
    """
    try:
        with nofollow.parent(path) as (directory, name):
            _discard(_temporary(name), directory)
            there = _discard(name, directory)
            nofollow.sync_directory(directory)
            return there
    except (FileNotFoundError, NotADirectoryError):
        return False


def _temporary(name: str) -> str:
    """Return one fixed name for each file, so that the next write replaces what a killed one has left."""
    return ".provision-" + sha256(os.fsencode(name)).hexdigest()[:16]


def _discard(name: str, directory: int) -> bool:
    try:
        os.unlink(name, dir_fd=directory)
    except FileNotFoundError:
        return False
    return True
