"""Questions to the person at the terminal."""

from __future__ import annotations

import sys
import termios

import click

from provision.cli.options import Call
from provision.show.formats import TEXT


def require_terminal(call: Call) -> None:
    """Refuse where nobody can be asked.

    Raises:
        click.UsageError: there is no terminal, or programs read the output.
    """
    if not (sys.stdin.isatty() and sys.stdout.isatty() and call.output == TEXT):
        raise click.UsageError(f"without a terminal to ask on, {call.verb} needs --yes")


def sudo_password() -> str:
    """Ask for the sudo password of the hosts.

    Raises:
        click.UsageError: there is no terminal.
    """
    if not sys.stdin.isatty():
        raise click.UsageError("--ask-become-pass needs a terminal to ask on")
    password: str = click.prompt("sudo password", hide_input=True, err=True)
    return password


def agreed(question: str) -> bool:
    """Ask, and return whether the answer is yes. What was typed before the question does not count."""
    sys.stdout.flush()
    termios.tcflush(sys.stdin, termios.TCIFLUSH)
    return click.confirm(question, default=False)
