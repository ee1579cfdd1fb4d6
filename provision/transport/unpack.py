"""Keeping the host side on a host: its code, compiled for each Python that has run it.

Sent with the archive to a host that lacks it, and executed there by `boot.py`: it imports nothing of ours.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import marshal
import os
import shutil
import tempfile
import time
import zlib
from typing import Callable, Mapping, NoReturn, Sequence

KEPT = 3
"""Versions of the host side that stay in the cache of a host."""

DAY = 86400

PROGRAMS = (
    "provision/host/python/inside.py",
    "provision/host/services/gateways/haproxy_admin.py",
    "provision/host/services/gateways/haproxy_keeper.py",
)
"""Modules that the host side also runs as programs of their own: their text is kept, too."""


def unpack(
    name: str,
    data: bytes,
    places: Sequence[str],
    file: str,
    private: Callable[[str], bool],
    fail: Callable[[str, str, str], NoReturn],
) -> None:
    """Compile an archive, and keep the code in the first place that takes it.

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
    code = compiled(json.loads(zlib.decompress(data)))
    refused = []
    for place in places:
        try:
            keep(place, name, code, file, private)
            return
        except OSError as error:
            refused.append(f"{place}: {error.strerror or error}")
    size = len(code) // 1000 + 1
    fail(
        "disk-full",
        f"provision finds no place for its own {size} kB on this host ({'; '.join(refused)})",
        "make room on the disk, or make one of these directories writable",
    )


def keep(place: str, name: str, code: bytes, file: str, private: Callable[[str], bool]) -> None:
    """Write the code of an archive into a directory of its own, whole or not at all.

    Args:
        place: the cache; made when it is missing.
        name: of the archive, and of its directory.
        code: for this Python.
        file: the name of the file for it.
        private: tells whether nobody else can write to a directory.

    Raises:
        OSError: this place does not take it.
    """
    if not os.path.isdir(place):
        os.makedirs(place, 0o700, exist_ok=True)
    if not private(place):
        raise OSError(1, "others can write to it")
    path = f"{place}/{name}"
    lock = os.open(place, os.O_RDONLY)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        tidy(place, name)
        if not (os.path.isdir(path) and private(path)):
            shutil.rmtree(path, ignore_errors=True)
            os.mkdir(path, 0o700)
        save(path, file, code)
    finally:
        os.close(lock)


def compiled(texts: Mapping[str, str]) -> bytes:
    """Return the code of all modules, without the texts that are for people, and an index after them.

    A run reads only the modules that it needs. The first 22 bytes tell where the index is, and its size. It
    has for each module the path of its source in the archive, where its code is, and the size of that; and
    by the paths of `PROGRAMS` the same for their texts.
    """
    index: dict[str, tuple[str, int, int]] = {}
    parts = []
    at = 22
    for source, text in texts.items():
        if source.endswith(".py"):
            module = source[: -len(".py")].replace("/", ".")
            if module.endswith(".__init__"):
                module = module[: -len(".__init__")]
            kept = {module: marshal.dumps(compile(text, source, "exec", dont_inherit=True, optimize=2))}
            if source in PROGRAMS:
                kept[source] = text.encode()
            for key, part in kept.items():
                parts.append(part)
                index[key] = source, at, len(part)
                at += len(part)
    end = marshal.dumps(index)
    return b"".join([b"%10d %10d\n" % (at, len(end)), *parts, end])


def save(path: str, file: str, data: bytes) -> None:
    """Write the code for this Python, in the place of what an older one or an interrupted run has left.

    It is on disk before it has its name: a crash of the machine leaves all of it behind or none.
    """
    handle, work = tempfile.mkstemp(prefix=".new-", dir=path)
    try:
        with os.fdopen(handle, "wb") as out:
            out.write(data)
            out.flush()
            os.fsync(handle)
        stale = (file.rpartition("-")[0] + "-", ".new-")
        for other in os.listdir(path):
            if other.startswith(stale) and other not in (file, os.path.basename(work)):
                os.unlink(f"{path}/{other}")
        os.rename(work, f"{path}/{file}")
    except OSError:
        os.unlink(work)
        raise


def tidy(place: str, name: str) -> None:
    """Leave only this version and those used last.

    One used within a day may still be at work: a first apply can take hours.
    """
    kept = []
    for entry in os.listdir(place):
        path = f"{place}/{entry}"
        if len(entry) == len(name) and entry != name:
            kept.append((os.lstat(path).st_mtime, path))
    for used, path in sorted(kept)[: 1 - KEPT]:
        if time.time() - used > DAY:
            shutil.rmtree(path, ignore_errors=True)
