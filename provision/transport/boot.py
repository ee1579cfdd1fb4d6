# ruff: noqa: UP031, UP036
"""The first program on a host: it finds the host side in its cache, or asks for it, and starts it.

It is sent as text, in front of the request, and reads what follows: `PROVISION1 <archive> <size>`, a line
break, and the request packed by zlib. It uses only the standard library, and only what the oldest Python 3
understands, because it also says when a Python is too old. It is compiled at every run, so it is short: what
keeps the host side on a host (`unpack.py`) is sent with it, and what imports it (`host/modules.py`) is part
of it.
"""

import gc
import marshal
import os
import pwd
import sys
from stat import S_ISDIR

NAME = "%s-%x.code" % (sys.implementation.cache_tag, sys.hexversion)
"""The file with the compiled host side for this very Python, in the directory of an archive."""


def say(line: str) -> None:
    """Print one event."""
    os.write(1, line.encode("utf-8", "replace") + b"\n")


def fail(code: str, message: str, hint: str) -> None:
    """Print an error event and end."""
    import json

    say(json.dumps({"event": "error", "finding": {"code": code, "message": message, "hint": hint}}))
    sys.exit(1)


def places() -> "list[str]":
    """Return the directories that may hold the cache, best first; the last one is memory, for full disks."""
    uid = os.geteuid()
    try:
        home = pwd.getpwuid(uid).pw_dir
    except KeyError:
        home = ""
    found = [home + "/.cache/provision"] if os.path.isabs(home) and os.path.isdir(home) else []
    return found + ["%s/provision-%d" % (parent, uid) for parent in ("/var/tmp", "/dev/shm")]


def private(path: str) -> bool:
    """Tell whether a directory is ours, and nobody else can write to it."""
    found = os.lstat(path)
    return S_ISDIR(found.st_mode) and found.st_uid == os.geteuid() and not found.st_mode & 0o022


def find(archive: str) -> "tuple[str, int, dict[str, tuple[str, int, int]]] | None":
    """Return the place where the host side is, the open file with its code, and the index of that file.

    None when it is not there. Only a directory into which nobody else can write is looked into: what is found
    there will be run.
    """
    for place in places():
        path = place + "/" + archive
        try:
            if private(place) and private(path):
                file = os.open(path + "/" + NAME, os.O_RDONLY)
                at, size = map(int, os.pread(file, 22, 0).split())
                index = os.pread(file, size + 1, at)
                if len(index) == size:
                    os.utime(path, None)
                    return place, file, marshal.loads(index)
        except (OSError, EOFError, ValueError, TypeError):
            pass
    return None


def run(code: "bytes", names: "dict[str, object]") -> "dict[str, object]":
    """Execute a program, and return what its names stand for then."""
    exec(code, names)
    return names


def ask(archive: str) -> "tuple[str, int, dict[str, tuple[str, int, int]]]":
    """Ask for the archive, and for the program that unpacks it."""
    import zlib

    say('{"event":"need"}')
    sizes = sys.stdin.buffer.readline().split()
    parts = [sys.stdin.buffer.read(int(size)) for size in sizes]
    if not parts or len(parts[-1]) != int(sizes[-1]):
        sys.exit(1)
    run(zlib.decompress(parts[0]), {})["unpack"](archive, parts[1], places(), NAME, private, fail)  # type: ignore[operator]
    return find(archive) or sys.exit(1)


def start() -> None:
    """Read what follows on standard input, and run it."""
    if sys.version_info < (3, 8):
        fail(
            "old-python",
            "Python %d.%d (%s) is too old: 3.8 or newer is needed"
            % (sys.version_info[0], sys.version_info[1], sys.executable),
            "install a newer one and name it with `python:` of this host",
        )
    import zlib

    gc.set_threshold(100000)  # a short run ends before there is anything to collect
    head = sys.stdin.buffer.readline().split()
    if len(head) != 3:
        sys.exit(1)
    archive, size = head[1].decode(), int(head[2])
    request = sys.stdin.buffer.read(size)
    if len(request) != size:
        sys.exit(1)
    place, file, index = find(archive) or ask(archive)
    _, at, size = index["provision.host.modules"]
    modules = run(marshal.loads(os.pread(file, size, at)), {})["Modules"]
    main = modules(file, index).load("provision.host.main")  # type: ignore[operator]
    sys.exit(main.main(zlib.decompress(request), place))


if __name__ == "__main__":
    start()
