"""Where this machine keeps what later runs can use again."""

from __future__ import annotations

import os
from pathlib import Path


def cache(name: str) -> Path:
    """Return the user's own directory for one kind of thing; it need not exist."""
    base = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    return Path(base) / "provision" / name


def make(folder: Path) -> None:
    """Make the directory of a cache, which nobody else can look into.

    Raises:
        OSError: it cannot be made.
    """
    # The one above, too: the host side of this machine has its cache there.
    folder.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    folder.mkdir(mode=0o700, exist_ok=True)


def write(path: Path, data: bytes) -> None:
    """Write a file whole or not at all: a new one, which only this user can read, takes the place of the old.

    Raises:
        OSError: it cannot be written.
    """
    import tempfile  # most runs write nothing

    work = None
    try:
        handle, work = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
        with os.fdopen(handle, "wb") as file:
            file.write(data)
        os.replace(work, path)
    except BaseException as error:
        if work:
            os.unlink(work)
        if isinstance(error, OSError):
            error.filename = str(path)  # on a full disk a write fails, and its error has no file name
        raise
