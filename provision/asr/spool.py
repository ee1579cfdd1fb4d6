"""A private directory for uploads and decoded audio; what killed runs have left is removed."""

from __future__ import annotations

import contextlib
import fcntl
import itertools
import os
import shutil
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO

_LOCK = "lock"


class Spool:
    """One run's directory ``<tmp>/provision-asr-<uid>/<run>``, mode 0700.

    A run holds a lock on its directory as long as it lives; one whose lock is free belongs to a killed run.
    """

    def __init__(self) -> None:
        """Make the directory below the system's temp directory, and remove stale ones."""
        root = Path(tempfile.gettempdir()) / f"provision-asr-{os.getuid()}"
        root.mkdir(mode=0o700, exist_ok=True)
        info = root.lstat()
        if not stat.S_ISDIR(info.st_mode) or info.st_uid != os.getuid() or info.st_mode & 0o077:
            raise OSError(f"{root} is not a private directory of this user; remove it")
        with open(
            root / ".sweep", "w"
        ) as guard:  # two runs that start must not remove each other's new directory
            fcntl.flock(guard, fcntl.LOCK_EX)
            _sweep(root)
            self.directory = Path(tempfile.mkdtemp(dir=root, prefix="run-"))
            self._lock: IO[str] = open(self.directory / _LOCK, "w")  # noqa: SIM115
            fcntl.flock(self._lock, fcntl.LOCK_EX)
        self._numbers = itertools.count(1)

    @contextlib.contextmanager
    def files(self) -> Iterator[tuple[Path, Path]]:
        """Two unused paths, for an upload and its decoded audio; both files are gone afterwards, whatever
        happens. The upload goes first: a decoder that misses it removes what it has made.
        """
        number = next(self._numbers)
        paths = self.directory / f"{number}.upload", self.directory / f"{number}.pcm"
        try:
            yield paths
        finally:
            for path in paths:
                with contextlib.suppress(FileNotFoundError):
                    path.unlink()

    def close(self) -> None:
        """Remove the directory."""
        shutil.rmtree(self.directory, ignore_errors=True)
        self._lock.close()


def _sweep(root: Path) -> None:
    for directory in root.glob("run-*"):
        try:
            with open(directory / _LOCK, "a") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(directory, ignore_errors=True)
        except BlockingIOError:
            continue  # its run is alive
        except OSError:
            shutil.rmtree(directory, ignore_errors=True)
