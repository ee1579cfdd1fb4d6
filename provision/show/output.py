"""Where a run is written to: standard output, and files beside it."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Mapping
from contextlib import ExitStack
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
    writer = FORMATS[name].writer(run, sys.stdout)
    return _Several(run, writer, [_File(run, *each) for each in files.items()]) if files else writer


class _Several(Writer):
    """Hands everything to several writers."""

    def __init__(self, run: Run, shown: Writer, files: list[_File]) -> None:
        super().__init__(run, sys.stdout)
        # The files first: what they are told does not depend on whether a terminal is still there.
        self._writers = [*files, shown]

    def take(self, item: Item) -> None:
        """Hand on one item."""
        for writer in self._writers:
            writer.take(item)

    def close(self) -> None:
        """Close all of them, the last one first, also when one fails."""
        with ExitStack() as stack:
            for writer in self._writers:
                stack.callback(writer.close)


class _File(Writer):
    """A format whose text is saved at the end."""

    def __init__(self, run: Run, name: str, path: Path) -> None:
        _replace(path, None)
        self._text = io.StringIO()
        super().__init__(run, self._text)
        self._path = path
        self._writer = FORMATS[name].writer(run, self._text)

    def take(self, item: Item) -> None:
        """Hand on one item."""
        self._writer.take(item)

    def close(self) -> None:
        """Write the file."""
        self._writer.close()
        _replace(self._path, self._text.getvalue())


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
