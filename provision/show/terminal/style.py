"""Colour where it helps, and only on terminals that want it."""

from __future__ import annotations

import os
import sys

import click

GOOD, BAD, NEW, OLD, QUIET, LOUD = "green", "red", "green", "yellow", "bright_black", "bold"


def coloured() -> bool:
    """Whether standard output is a terminal whose user has not set NO_COLOR."""
    return sys.stdout.isatty() and not os.environ.get("NO_COLOR")


def paint(text: str, colour: str) -> str:
    """Return `text` in a colour, or as it is where colours are not wanted."""
    if not coloured():
        return text
    return click.style(text, bold=True) if colour == LOUD else click.style(text, fg=colour)
