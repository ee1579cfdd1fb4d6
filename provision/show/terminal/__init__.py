"""The text that a person reads: for each verb a screen of its name, in the module of its name."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from provision.show.items import Run
    from provision.show.writer import Writer


def open_screen(run: Run, out: TextIO) -> Writer:
    """Return what shows a run."""
    screen = getattr(import_module(f"{__name__}.{run.verb}"), run.verb.capitalize())
    shown: Writer = screen(run, out)
    return shown
