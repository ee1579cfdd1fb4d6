"""Temporary files and directories, and how those are found that a killed run has left.

Their names begin with the pid of whoever makes them. Once that process has ended, nobody needs them, and some
hold secrets.
"""

from __future__ import annotations

import os
from typing import Iterable

_BEGINNING = ".provision-"

UV = "uv"
"""A directory of thousands of files that are not ours."""


def prefix() -> str:
    """Return what the names of this process's temporary files begin with."""
    return f"{_BEGINNING}{os.getpid()}-"


def sweep(directory: str) -> None:
    """Remove what processes that have ended have left in a directory; what cannot be removed stays."""
    try:
        names = os.listdir(directory)
    except OSError:
        return
    _sweep(directory, names)


def sweep_all(state: str) -> None:
    """Remove what killed runs have left; the caller holds the run's lock.

    Args:
        state: provision's directory on the host.
    """
    for directory, directories, files in os.walk(state):
        if directory == state and UV in directories:
            directories.remove(UV)
        _sweep(directory, [*directories, *files])
    sweep(os.path.join(os.path.dirname(state), "run"))
    sweep(os.environ.get("TMPDIR") or "/tmp")


def _sweep(directory: str, names: Iterable[str]) -> None:
    for name in names:
        if _is_left(name):
            path = os.path.join(directory, name)
            try:
                os.unlink(path)
            except IsADirectoryError:
                import shutil  # here, as it takes longer to import than all of this

                shutil.rmtree(path, ignore_errors=True)
            except OSError:
                pass


def _is_left(name: str) -> bool:
    # Older versions named theirs `.<8 characters>.tmp`.
    if name.startswith(".") and name.endswith(".tmp") and len(name) == 13:
        return True
    pid, dash, _ = name[len(_BEGINNING) :].partition("-")
    mine = name.startswith(_BEGINNING) and dash != "" and pid.isdigit()
    return mine and not os.path.exists(f"/proc/{pid}")
