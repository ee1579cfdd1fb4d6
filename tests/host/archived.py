"""Running programs that import the host side as hosts do: from the archive, by each Python that there is."""

from __future__ import annotations

import subprocess
from pathlib import Path

from provision.transport import unpack
from provision.transport.archive import PACKAGE, pack

PYTHONS = [
    path
    for minor in range(8, 15)
    for path in sorted(Path("~/.pyenv/versions").expanduser().glob(f"3.{minor}.*/bin/python"))
]

_UNPACK = """
import json, sys, zlib
unpack, archive, file = sys.argv[1:]
names = {"__name__": "unpack"}
exec(open(unpack).read(), names)
with open(file, "wb") as out:
    out.write(names["compiled"](json.loads(zlib.decompress(open(archive, "rb").read()))))
"""

_START = """
import marshal, os, sys
file = os.open(sys.argv[1], os.O_RDONLY)
at, size = map(int, os.pread(file, 22, 0).split())
index = marshal.loads(os.pread(file, size, at))
_, at, size = index["provision.host.modules"]
names = {}
exec(marshal.loads(os.pread(file, size, at)), names)
exec(%r, {"__name__": "program", "__builtins__": names["Modules"](file, index).builtins})
"""
"""What `boot.py` does to import the host side."""


def arguments(python: Path, directory: Path, program: str) -> list[str]:
    """Return the arguments with which a Python runs a program that can import the host side.

    Args:
        python: of which version.
        directory: for the archive and what is made of it; once it has that of one Python, it is reused.
        program: the text of the program.
    """
    archive, file, start = directory / "archive", directory / "host.code", directory / "start.py"
    if not file.exists():
        archive.write_bytes(pack(PACKAGE))
        subprocess.run([python, "-I", "-c", _UNPACK, unpack.__file__, archive, file], check=True)
    start.write_text(_START % program)
    return ["-I", "-S", str(start), str(file)]
