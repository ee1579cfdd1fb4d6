"""Which formats there are beside the text of a verb: files about a run, and findings on standard output."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from provision.show.findings import Located
    from provision.show.progress import View
    from provision.show.report import Report
    from provision.wire import events

    FindingsWriter = Callable[[Sequence[Located]], Iterator[str]]

FILES = {"junit": ("provision.show.junit", "JUnit XML: one case per check and per failed step.")}
"""Formats of files about a run: name, which is also the option -> module, help.

The module has `write(verb, report) -> bytes`.
"""

FINDINGS = {
    "json": "one versioned object per line",
    "github": "workflow commands",
    "gitlab": "a Code Quality report",
}
"""Formats of findings on standard output: name, a function of `provision.show.annotations` -> help."""


def findings_writer(name: str) -> FindingsWriter:
    """Return what turns findings into lines of a format of `FINDINGS`."""
    writer: FindingsWriter = getattr(import_module("provision.show.annotations"), name)
    return writer


def with_files(view: View, verb: str, names: Sequence[str], files: dict[str, Path]) -> View:
    """Return a view that also writes a file for each format of `files`, once the run has ended.

    Args:
        view: shows the events.
        verb: what is done, for the report.
        names: the hosts that will be heard of.
        files: by name of the format; none means the view as it is.

    Raises:
        OSError: a file cannot be written. It is tried out here, before anything is done.
    """
    if not files:
        return view
    from provision.show.report import Report

    for path in files.values():
        _replace(path, None)
    return _Writing(view, verb, Report(names), files)


class _Writing:
    """Passes events on to a view, remembers them, and writes the files at the end."""

    def __init__(self, view: View, verb: str, report: Report, files: dict[str, Path]) -> None:
        self._view = view
        self._verb = verb
        self._report = report
        self._files = files

    def take(self, event: events.Event) -> None:
        """Remember one event and show it."""
        self._report.take(event)
        self._view.take(event)

    def close(self) -> None:
        """End the view and write the files, also when the view fails."""
        try:
            self._view.close()
        finally:
            for name, path in self._files.items():
                module, _ = FILES[name]
                _replace(path, import_module(module).write(self._verb, self._report))


def _replace(path: Path, content: bytes | None) -> None:
    """Write a file whole or not at all; without content, only try whether that can be done."""
    path = path.resolve()
    if path.exists() and not path.is_file():
        raise OSError(0, "expected a regular file to write the report to", str(path))
    work = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        try:
            with work.open("xb") as file:
                file.write(content or b"")
            if content is not None:
                work.replace(path)
        finally:
            work.unlink(missing_ok=True)
    except OSError as error:
        raise OSError(error.errno, f"cannot write the report: {error.strerror}", str(path)) from None
