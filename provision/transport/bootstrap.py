"""Starting the host side: the shell script that is executed, and what its standard input gets.

The interpreter is started with a command line of a few words (`START`). It reads `boot.py` from its standard
input, and that reads the request. So no command line holds a secret, or anything that a shell could
misread, and everything is sent at once.
"""

from __future__ import annotations

import shlex
import zlib
from pathlib import Path

from provision.connect import Connection
from provision.connect.become import as_root

BOOT = zlib.compress(Path(__file__).with_name("boot.py").read_bytes(), 9)
_UNPACK = Path(__file__).with_name("unpack.py")

"""What the interpreter reads first."""

START = f"import sys,zlib;exec(zlib.decompress(sys.stdin.buffer.read({len(BOOT)})))"
"""What the interpreter is told on its command line."""

REACHED = b'{"event":"reached"}'
"""First words of the shell on the host: the connection works."""

READY = b'{"event":"ready"}'
"""First words of the shell once it is root, where nothing may be sent to its standard input before."""

NEED = b'{"event":"need"}'
"""The host lacks the archive."""

NO_PYTHON = b'{"event":"no-python"}'
"""The interpreter is not there."""

KILLED = b'{"event":"killed","code":'
"""The host side was killed on the host; the code is 128 and the number of the signal."""

# The shell stays to say so. Only the kernel's log tells whether it ran out of memory.
_WATCH = (
    "; C=$?; [ $C -gt 128 ] || exit $C; "
    "dmesg 2>/dev/null | grep -i 'killed process' | tail -n 1 >&2; "
    "printf '" + KILLED.decode() + "%d}\\n' $C; exit $C"
)

# A start file of the login shell may have set them to anything.
_PATH = (
    "PATH=$PATH:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin; "
    "LC_ALL=C.UTF-8; export PATH LC_ALL; "
)

# What is sent holds secrets, and a core dump would have them on the disk. Python's own module for it takes a
# millisecond to load.
_NO_CORE = "ulimit -S -c 0 2>/dev/null; "

_INSTALL = (
    'if [ "$(id -u)" != 0 ]; then echo "only root can install python3" >&2; exit 1; fi; '
    "command -v apt-get >/dev/null 2>&1 || { echo 'there is no apt-get to install python3' >&2; exit 1; }; "
    """( while sleep 5 >/dev/null; do echo '{"event":"heartbeat"}'; done ) 2>/dev/null & B=$!; """
    "DEBIAN_FRONTEND=noninteractive; export DEBIAN_FRONTEND; "
    "I='apt-get -q -y -o DPkg::Lock::Timeout=300 --no-install-recommends install python3'; "
    "{ $I || { apt-get -q -o DPkg::Lock::Timeout=300 update && $I; }; } </dev/null >&2; C=$?; "
    "kill $B; "
    "[ $C = 0 ] || exit $C; "
)


def script(connection: Connection, install_python: bool = False) -> str:
    """Return the shell script that starts the host side over a connection.

    Args:
        connection: says which interpreter, and whether to become root first.
        install_python: install python3 by apt before, which needs root.
    """
    python = shlex.quote(connection.python)
    body = (
        _PATH
        + _NO_CORE
        + (f"echo '{READY.decode()}'; " if connection.asks_password else "")
        + (_INSTALL if install_python else "")
        # podman loses all that a command in a container prints when it ends within some milliseconds.
        + f"command -v {python} >/dev/null 2>&1 || {{ echo '{NO_PYTHON.decode()}'; sleep 1; exit 1; }}; "
        + f"trap : TERM; {python} -I -S -c '{START}'"
        + _WATCH
    )
    if connection.become:
        body = _PATH + as_root(body, connection.asks_password)
    # The line break ends what a login shell may have printed without one.
    return f"printf '\\n%s\\n' '{REACHED.decode()}'; {body}"


def message(archive: str, request: bytes) -> bytes:
    """Return what the script's standard input gets after `BOOT`: the request for the host side."""
    packed = zlib.compress(request, 6)
    return b"PROVISION1 %s %d\n" % (archive.encode(), len(packed)) + packed


def delivery(data: bytes) -> bytes:
    """Return the answer to `need`: the program that unpacks, and the archive."""
    unpack = zlib.compress(_UNPACK.read_bytes(), 9)
    return b"%d %d\n" % (len(unpack), len(data)) + unpack + data
