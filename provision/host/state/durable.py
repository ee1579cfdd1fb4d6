"""Small files that survive a crash: never half written, and never lost."""

from __future__ import annotations

import ctypes
import os
import tempfile

from provision.host.state import scraps


def write(path: str, text: str, mode: int = 0o644) -> None:
    """Replace a file by `text`; after a crash either the old or the new one is there, complete.

    Args:
        path: the file; missing parent directories are made.
        text: its new content, written as UTF-8.
        mode: its permission bits.

    Raises:
        OSError: as the kernel says; it names the file.
    """
    directory = os.path.dirname(path)
    os.makedirs(directory, exist_ok=True)
    scraps.sweep(directory)
    try:
        descriptor, temporary = tempfile.mkstemp(prefix=scraps.prefix(), dir=directory)
    except OSError as error:
        error.filename = path
        raise
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fchmod(file.fileno(), mode)
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException as error:
        os.unlink(temporary)
        if isinstance(error, OSError):
            # On a full disk a write fails, and its error has no file name.
            error.filename = path
        raise
    sync(directory)


def read(path: str) -> str | None:
    """Return a file's text, or None when there is no such file."""
    try:
        with open(path, encoding="utf-8") as file:
            return file.read()
    except (FileNotFoundError, NotADirectoryError):
        return None


def remove(path: str) -> bool:
    """Remove a file, also if a crash follows; True when it was there."""
    try:
        os.unlink(path)
    except (FileNotFoundError, NotADirectoryError):
        return False
    sync(os.path.dirname(path))
    return True


def settle(path: str) -> None:
    """Write all that a file system still keeps in memory to its disk, before a mark says that it is there.

    Without it a mark may be on the disk after a power cut, and the files that it speaks of empty.

    Args:
        path: something on the file system.
    """
    descriptor = os.open(path, os.O_RDONLY)
    try:
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.syncfs(descriptor) != 0:
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()), path)
    finally:
        os.close(descriptor)


def sync(directory: str) -> None:
    """Write the directory's entries to disk: only then does a rename survive a crash."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
