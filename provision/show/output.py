"""Where a run is written to: standard output, and files beside it."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from provision.show.formats import FORMATS, TEXT
from provision.show.writer import Writer

if TYPE_CHECKING:
    from provision.show.items import Item, Run


def open_writer(run: Run, name: str = TEXT, files: Mapping[str, Path] | None = None) -> Writer:
    """Return what writes a run to standard output, and to a file for each format of `files`.

    Each file is written whole once the run has ended, also when the writer of standard output fails.

    Args:
        run: what is known of the command.
        name: the format of standard output.
        files: by the name of their format.

    Raises:
        OSError: a file cannot be written. It is tried out here, before anything is done.
    """
    writer = _Later(run, name)
    return _WithFiles(run, writer, files) if files else writer


class _Later(Writer):
    """Makes the writer of standard output when there is something to write: the hosts work meanwhile."""

    def __init__(self, run: Run, name: str) -> None:
        super().__init__(run, sys.stdout)
        self._name = name

    @cached_property
    def _writer(self) -> Writer:
        return FORMATS[self._name].writer(self.run, self.out)

    def take(self, item: Item) -> None:
        """Write one item."""
        self._writer.take(item)

    def close(self) -> None:
        """Write what is left."""
        self._writer.close()


class _WithFiles(Writer):
    """Passes items to a writer, and to one for each file."""

    def __init__(self, run: Run, shown: Writer, files: Mapping[str, Path]) -> None:
        super().__init__(run, io.StringIO())
        for path in files.values():
            _replace(path, None)
        self._shown = shown
        self._files = [(FORMATS[name].writer(run, io.StringIO()), path) for name, path in files.items()]

    def take(self, item: Item) -> None:
        """Pass one item on."""
        # The files first: they get it also when the terminal is gone.
        for writer, _ in self._files:
            writer.take(item)
        self._shown.take(item)

    def close(self) -> None:
        """Close the writer, and write the files also when that fails."""
        try:
            self._shown.close()
        finally:
            for writer, path in self._files:
                writer.close()
                writer.out.seek(0)
                _replace(path, writer.out.read())


def _replace(path: Path, text: str | None) -> None:
    """Write a file whole or not at all; without a text, only try whether that can be done."""
    path = path.resolve()
    if path.exists() and not path.is_file():
        raise OSError(0, "expected a regular file to write the report to", str(path))
    work = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        try:
            with work.open("x", encoding="utf-8", newline="") as file:
                file.write(text or "")
            if text is not None:
                work.replace(path)
        finally:
            work.unlink(missing_ok=True)
    except OSError as error:
        raise OSError(error.errno, f"cannot write the report: {error.strerror}", str(path)) from None
