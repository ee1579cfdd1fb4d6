"""Small things that several resource types do to paths."""

from __future__ import annotations

import os
import re
import shutil


def which(program: str, path: str | None = None) -> str | None:
    """Return the file that the name of a program means, or None when there is none.

    Args:
        program: a name, which is searched as a shell does; or a path.
        path: where to search; None for our own `PATH`.
    """
    if "/" in program:
        places = [program]
    else:
        search = os.environ.get("PATH", os.defpath) if path is None else path
        places = [os.path.join(directory or ".", program) for directory in search.split(":")]
    return next((place for place in places if os.path.isfile(place) and os.access(place, os.X_OK)), None)


def make_directories(path: str) -> list[str]:
    """Make a directory and those above it, each readable by every user, whatever the umask.

    Returns what had to be made, the outermost first.
    """
    missing = []
    while not os.path.isdir(path):
        missing.append(path)
        path = os.path.dirname(path)
    made = []
    for directory in reversed(missing):
        try:
            os.mkdir(directory)
        except FileExistsError:
            if not os.path.isdir(directory):
                raise
            continue  # another resource has made it meanwhile
        os.chmod(directory, 0o755)
        made.append(directory)
    return made


def delete(path: str) -> None:
    """Delete a file, a link or a whole directory; it may be gone already."""
    if os.path.isdir(path) and not os.path.islink(path):
        shutil.rmtree(path)
        return
    try:
        os.unlink(path)
    except FileNotFoundError:
        pass


def remove_empty(directory: str) -> bool:
    """Remove a directory if it is empty; True when it was."""
    try:
        os.rmdir(directory)
    except OSError:
        return False
    return True


def lead(link: str, path: str, only_first: bool = False) -> None:
    """Let a symbolic link lead to a path below its own directory; what is there and is no link stays.

    Args:
        link: the link.
        path: where it leads to.
        only_first: not if it already leads elsewhere.
    """
    if os.path.lexists(link) and (only_first or not os.path.islink(link)):
        return
    target = os.path.relpath(path, os.path.dirname(link))
    if not os.path.islink(link) or os.readlink(link) != target:
        fresh = f"{link}.link"
        delete(fresh)
        os.symlink(target, fresh)
        os.replace(fresh, link)


def existing(path: str) -> str:
    """Return the path itself, or the nearest directory above it that exists."""
    path = os.path.abspath(path)
    while not os.path.exists(path):
        path = os.path.dirname(path)
    return path


def free_bytes(path: str) -> int:
    """Return how many bytes can still be written below a path that need not exist yet."""
    found = os.statvfs(existing(path))
    return (found.f_bfree if os.geteuid() == 0 else found.f_bavail) * found.f_frsize


def free_files(path: str) -> int | None:
    """Return how many files can still be made below a path; None where the file system has no such limit."""
    found = os.statvfs(existing(path))
    return (found.f_ffree if os.geteuid() == 0 else found.f_favail) if found.f_files else None


def mount_point(path: str) -> str:
    """Return the mount point of the file system that a path is on."""
    path = os.path.realpath(existing(path))
    mounts = _mounts()
    while path not in mounts and not os.path.ismount(path):
        path = os.path.dirname(path)
    return path


def _mounts() -> set[str]:
    """Return all mount points; `ismount` misses a directory that is mounted from its own file system."""
    try:
        with open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape") as file:
            found = [line.split(" ")[4] for line in file]
    except OSError:
        return set()
    return {re.sub(r"\\([0-7]{3})", lambda octal: chr(int(octal.group(1), 8)), path) for path in found}


def human(size: float) -> str:
    """Return a number of bytes as people write it: 936291369 -> "936 MB"."""
    if size < 1000:
        return f"{size:.0f} B"
    for unit in ("kB", "MB", "GB"):
        size /= 1000
        if size < 999.5 or unit == "GB":
            break
    return f"{size:.1f} {unit}" if unit == "GB" else f"{size:.0f} {unit}"
