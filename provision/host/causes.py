"""Turning errors into sentences for a person."""

from __future__ import annotations

import errno
import os

from provision.host.failure import Failure
from provision.host.files.paths import free_bytes, free_files, mount_point

BECOME = "set `become: true` for this host, or connect as root"
"""The way out when something needs root."""


def explain(error: Exception) -> Failure:
    """Return any error as one that can be shown; a bug in provision says so, and where it is."""
    if isinstance(error, Failure):
        return error
    if isinstance(error, OSError):
        return failure(error, os.fsdecode(error.filename) if error.filename else "this host")
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    where = f"{os.path.basename(trace.tb_frame.f_code.co_filename)}:{trace.tb_lineno}" if trace else "?"
    return Failure(
        "internal-fault",
        f"a bug in provision: {type(error).__name__}: {error} ({where})",
        hint="please report it",
    )


def failure(error: OSError, path: str) -> Failure:
    """Return what an error of the file system means for `path`, with the way out where there is one."""
    code, hint, what = "file-refused", None, error.strerror or str(error)
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        quota = error.errno == errno.EDQUOT
        what = "the disk quota is used up" if quota else "no space is left on its file system"
        code, hint = "disk-full", f"free space below {mount_point(path)}"
        if not quota and _lacks_inodes(path):
            what = "no inodes are left on its file system"
            hint = f"delete some of the many files below {mount_point(path)}, or give it more inodes"
    elif error.errno == errno.EROFS:
        what = "its file system is mounted read-only"
        hint = f"remount {mount_point(path)} writable"
    elif error.errno in (errno.EACCES, errno.EPERM):
        root = os.geteuid() == 0
        what = "not permitted even to root" if root else "permission denied"
        hint = "look for an immutable flag with `lsattr`" if root else BECOME
    elif error.errno == errno.ENOTDIR:
        what = "something above it is not a directory"
    return Failure(code, f"{path}: {what}", hint=hint)


def code_of(text: str) -> str | None:
    """Return the code for what a program says when a file system has refused something; None otherwise."""
    if "No space left on device" in text or "Disk quota exceeded" in text:
        return "disk-full"
    return "file-refused" if "Read-only file system" in text else None


def _lacks_inodes(path: str) -> bool:
    """Whether a file system that takes no more has room for content, and none for files."""
    files = free_files(path)
    # What could not be written whole is gone by now, and a few inodes are free again.
    return files is not None and (files == 0 or (files < 16 and free_bytes(path) > 1 << 20))


def oom_kills() -> int:
    """Return how many processes the kernel has killed since the boot because memory ran out."""
    try:
        with open("/proc/vmstat", encoding="ascii") as file:
            counts = dict(line.split() for line in file)
        return int(counts.get("oom_kill", 0))
    except (OSError, ValueError):
        return 0
