# ruff: noqa: UP031, UP036
"""The first program on a host: it finds the host side in its cache, or asks for it, and starts it.

It is sent as text, in front of the request, and reads what follows: `PROVISION1 <archive> <size>`, a line
break, and the request packed by zlib. Only the standard library, and nothing that the oldest Python 3 could
not read: it is also what says that a Python is too old.
"""

import os
import sys

KEEP = 3
DAY = 86400
"""Versions of the host side that stay in the cache of a host."""

MARK = ".complete"
"""File that lists the sizes of all others; written last."""


def say(line: str) -> None:
    """Print one event."""
    os.write(1, line.encode("utf-8", "replace") + b"\n")


def fail(message: str, hint: str) -> None:
    """Print an error event and end."""
    import json

    say(json.dumps({"event": "error", "message": message, "hint": hint}))
    sys.exit(1)


def places() -> "list[str]":
    """Return the directories that may hold the cache, best first; the last one is memory, for full disks."""
    import pwd

    uid = os.geteuid()
    try:
        home = pwd.getpwuid(uid).pw_dir
    except KeyError:
        home = ""
    found = [home + "/.cache/provision"] if os.path.isabs(home) and os.path.isdir(home) else []
    return found + ["%s/provision-%d" % (parent, uid) for parent in ("/var/tmp", "/dev/shm")]


def private(path: str) -> bool:
    """Tell whether a directory is ours, and nobody else can write to it."""
    import stat

    found = os.lstat(path)
    return stat.S_ISDIR(found.st_mode) and found.st_uid == os.geteuid() and not found.st_mode & 0o022


def complete(path: str) -> bool:
    """Tell whether all files are there in full: a crash of the machine can leave empty ones behind."""
    try:
        with open(path + "/" + MARK) as file:
            lines = file.read().splitlines()
        for line in lines[:-1]:
            size, name = line.split(" ", 1)
            if os.stat(path + "/" + name).st_size != int(size):
                return False
        return lines[-1] == "end"
    except (OSError, ValueError, IndexError):
        return False


def find(name: str) -> str:
    """Return the directory of the unpacked archive, or an empty string."""
    for place in places():
        path = place + "/" + name
        try:
            if private(place) and private(path) and complete(path):
                os.utime(path, None)
                return path
        except OSError:
            pass
    return ""


def receive() -> bytes:
    """Ask for the archive and read it."""
    say('{"event":"need"}')
    line = sys.stdin.buffer.readline()
    data = sys.stdin.buffer.read(int(line or 0))
    if not line or len(data) != int(line):
        sys.exit(1)
    return data


def unpack(name: str, data: bytes) -> str:
    """Unpack the archive in the first place that takes it."""
    import hashlib

    if hashlib.sha256(data).hexdigest() != name:
        fail("the archive was damaged on its way to this host", "try again")
    refused = []
    for place in places():
        try:
            return keep(place, name, data)
        except OSError as error:
            refused.append("%s: %s" % (place, error.strerror or error))
    fail(
        "provision finds no place for its own %d kB on this host (%s)"
        % (len(data) // 1000 + 1, "; ".join(refused)),
        "make room on the disk, or make one of these directories writable",
    )
    return ""


def keep(place: str, name: str, data: bytes) -> str:
    """Unpack the archive into `place`, so that the directory is there in full or not at all."""
    import fcntl

    if not os.path.isdir(place):
        os.makedirs(place, 0o700, exist_ok=True)
    if not private(place):
        raise OSError(1, "others can write to it")
    path = place + "/" + name
    lock = os.open(place, os.O_RDONLY)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not complete(path):
            tidy(place, name)
            write(place, path, data)
    finally:
        os.close(lock)
    return path


def write(place: str, path: str, data: bytes) -> None:
    """Write the files under another name, the list of them last, and then give the directory its own."""
    import io
    import shutil
    import tempfile
    import zipfile

    work = tempfile.mkdtemp(prefix=".new-", dir=place)
    try:
        sizes = []
        archive = zipfile.ZipFile(io.BytesIO(data))
        for entry in archive.infolist():
            archive.extract(entry, work)
            sizes.append("%d %s\n" % (entry.file_size, entry.filename))
        with open(work + "/" + MARK, "w") as file:
            file.write("".join(sizes) + "end\n")
        os.rename(work, path)
    except OSError:
        shutil.rmtree(work, ignore_errors=True)
        raise


def tidy(place: str, name: str) -> None:
    """Leave only the versions used last: nothing of interrupted runs, and no broken one of this name.

    One used within a day may still be at work: a first apply can take hours.
    """
    import shutil
    import time

    kept = []
    for entry in os.listdir(place):
        path = place + "/" + entry
        if entry.startswith(".new-") or entry == name:
            shutil.rmtree(path, ignore_errors=True)
        elif len(entry) == len(name):
            kept.append((os.lstat(path).st_mtime, path))
    for used, path in sorted(kept)[: 1 - KEEP]:
        if time.time() - used > DAY:
            shutil.rmtree(path, ignore_errors=True)


def start() -> None:
    """Read what follows on standard input, and run it."""
    if sys.version_info < (3, 8):
        fail(
            "Python %d.%d (%s) is too old: 3.8 or newer is needed"
            % (sys.version_info[0], sys.version_info[1], sys.executable),
            "install a newer one and name it with `python:` of this host",
        )
    import zlib

    head = sys.stdin.buffer.readline().split()
    if len(head) != 3:
        sys.exit(1)
    name, size = head[1].decode(), int(head[2])
    request = sys.stdin.buffer.read(size)
    if len(request) != size:
        sys.exit(1)
    sys.path.insert(0, find(name) or unpack(name, receive()))
    from provision.host.main import main

    sys.exit(main(zlib.decompress(request)))


if __name__ == "__main__":
    start()
