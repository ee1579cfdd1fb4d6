"""Keeping the host side on a host: its sources, and its code compiled for each Python that has run it.

Sent with the archive to a host that lacks it, and executed there by `boot.py`: it imports nothing of ours.
"""

from __future__ import annotations

import fcntl
import hashlib
import io
import marshal
import os
import shutil
import tempfile
import time
import zipfile
from typing import Callable, NoReturn, Sequence

KEPT = 3
"""Versions of the host side that stay in the cache of a host."""

DAY = 86400

MARK = ".complete"
"""File that lists the sizes of all others; written last."""


def unpack(
    name: str,
    data: bytes,
    places: Sequence[str],
    file: str,
    private: Callable[[str], bool],
    fail: Callable[[str, str, str], NoReturn],
) -> None:
    """Unpack an archive in the first place that takes it, and compile it there.

    Args:
        name: of the archive: the SHA-256 of its bytes.
        data: the archive.
        places: directories that may hold the cache, best first.
        file: where the code for this Python is kept in the archive's directory.
        private: tells whether nobody else can write to a directory.
        fail: says what is wrong and what can be done, and ends the program.
    """
    if hashlib.sha256(data).hexdigest() != name:
        fail("damaged-archive", "the archive was damaged on its way to this host", "try again")
    archive = zipfile.ZipFile(io.BytesIO(data))
    refused = []
    for place in places:
        try:
            keep(place, name, archive, file, private)
            return
        except OSError as error:
            refused.append(f"{place}: {error.strerror or error}")
    size = len(data) // 1000 + 1
    fail(
        "disk-full",
        f"provision finds no place for its own {size} kB on this host ({'; '.join(refused)})",
        "make room on the disk, or make one of these directories writable",
    )


def keep(place: str, name: str, archive: zipfile.ZipFile, file: str, private: Callable[[str], bool]) -> None:
    """Unpack an archive into a directory of its own, in full or not at all, and compile it.

    Args:
        place: the cache; made when it is missing.
        name: of the archive, and of its directory.
        archive: what is unpacked, unless it is there already.
        file: where the code for this Python is kept in that directory.
        private: tells whether nobody else can write to a directory.

    Raises:
        OSError: this place does not take it.
    """
    if not os.path.isdir(place):
        os.makedirs(place, 0o700, exist_ok=True)
    if not private(place):
        raise OSError(1, "others can write to it")
    path = f"{place}/{name}"
    code = compiled(path, archive)
    lock = os.open(place, os.O_RDONLY)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not complete(path):
            tidy(place, name)
            write(place, path, archive)
        save(path, file, code)
    finally:
        os.close(lock)


def compiled(path: str, archive: zipfile.ZipFile) -> bytes:
    """Return the code of all modules, without the texts that are for people, and an index after them.

    A run reads only the modules that it needs. The first 22 bytes tell where the index is, and its size. It
    has for each module its source file's path in the archive, and where its code is, and the size of that.
    """
    index: dict[str, tuple[str, int, int]] = {}
    parts = []
    at = 22
    for source in archive.namelist():
        if source.endswith(".py"):
            module = source[: -len(".py")].replace("/", ".")
            if module.endswith(".__init__"):
                module = module[: -len(".__init__")]
            made = compile(archive.read(source), f"{path}/{source}", "exec", dont_inherit=True, optimize=2)
            parts.append(marshal.dumps(made))
            index[module] = source, at, len(parts[-1])
            at += len(parts[-1])
    end = marshal.dumps(index)
    return b"".join([b"%10d %10d\n" % (at, len(end)), *parts, end])


def complete(path: str) -> bool:
    """Tell whether all files are there in full."""
    try:
        with open(f"{path}/{MARK}") as file:
            lines = file.read().splitlines()
        for line in lines[:-1]:
            size, name = line.split(" ", 1)
            if os.stat(f"{path}/{name}").st_size != int(size):
                return False
        return lines[-1] == "end"
    except (OSError, ValueError, IndexError):
        return False


def write(place: str, path: str, archive: zipfile.ZipFile) -> None:
    """Write the files under another name, the list of them last, and then give the directory its own.

    They are on disk by then: a crash of the machine leaves all of them behind or none.
    """
    work = tempfile.mkdtemp(prefix=".new-", dir=place)
    try:
        sizes = []
        for entry in archive.infolist():
            _settle(archive.extract(entry, work))
            sizes.append(f"{entry.file_size} {entry.filename}\n")
        with open(f"{work}/{MARK}", "w") as file:
            file.write("".join(sizes) + "end\n")
        _settle(f"{work}/{MARK}")
        os.rename(work, path)
    except OSError:
        shutil.rmtree(work, ignore_errors=True)
        raise


def save(path: str, file: str, data: bytes) -> None:
    """Write the code for this Python, in the place of what an older one of the same series has left."""
    handle, work = tempfile.mkstemp(prefix=".new-", dir=path)
    try:
        with os.fdopen(handle, "wb") as out:
            out.write(data)
            out.flush()
            os.fsync(handle)
        series = file.rpartition("-")[0] + "-"
        for other in os.listdir(path):
            if other.startswith(series) and other != file:
                os.unlink(f"{path}/{other}")
        os.rename(work, f"{path}/{file}")
    except OSError:
        os.unlink(work)
        raise


def tidy(place: str, name: str) -> None:
    """Leave only the versions used last: nothing of interrupted runs, and no broken one of this name.

    One used within a day may still be at work: a first apply can take hours.
    """
    kept = []
    for entry in os.listdir(place):
        path = f"{place}/{entry}"
        if entry.startswith(".new-") or entry == name:
            shutil.rmtree(path, ignore_errors=True)
        elif len(entry) == len(name):
            kept.append((os.lstat(path).st_mtime, path))
    for used, path in sorted(kept)[: 1 - KEPT]:
        if time.time() - used > DAY:
            shutil.rmtree(path, ignore_errors=True)


def _settle(path: str) -> None:
    """Have the disk take what was written."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
