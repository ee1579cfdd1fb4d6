"""Turning the kernel's errors into sentences for a person."""

from __future__ import annotations

import errno
import os

from provision.host.failure import Failure
from provision.host.files.paths import mount_point

BECOME = "set `become: true` for this host, or connect as root"
"""The way out when a run lacks the rights of root."""


def explain(error: Exception) -> Failure:
    """Return any error as one that can be shown; a fault of our own says so and where it is."""
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
        f"a fault in provision itself: {type(error).__name__}: {error} ({where})",
        hint="please report it",
    )


def failure(error: OSError, path: str) -> Failure:
    """Return what an error of the file system means for `path`, with the way out where there is one."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        what = (
            "the disk quota is used up"
            if error.errno == errno.EDQUOT
            else "no space is left on its file system"
        )
        return Failure("disk-full", f"{path}: {what}", hint=f"free space below {mount_point(path)}")
    if error.errno == errno.EROFS:
        return Failure(
            "file-refused",
            f"{path}: its file system is mounted read-only",
            hint=f"remount {mount_point(path)} writable",
        )
    if error.errno in (errno.EACCES, errno.EPERM):
        if os.geteuid() != 0:
            return Failure("file-refused", f"{path}: permission denied", hint=BECOME)
        return Failure(
            "file-refused",
            f"{path}: not permitted even to root",
            hint="look for an immutable flag with `lsattr`",
        )
    if error.errno == errno.ENOTDIR:
        return Failure("file-refused", f"{path}: something above it is not a directory")
    return Failure("file-refused", f"{path}: {error.strerror or error}")
