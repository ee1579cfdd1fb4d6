"""What is printed when a command cannot go on: a finding a line, as text and where asked for as JSON."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from itertools import pairwise

import click

from provision.cli.options import Call
from provision.config.problems import ConfigError
from provision.show.formats import TEXT, offered
from provision.show.items import Located
from provision.show.terminal.findings import coded
from provision.wire.finding import Finding, fault

DEBUG = "PROVISION_DEBUG"
"""Environment variable: when set, a fault of provision's own shows where it happened."""


def tell(error: Exception, arguments: Sequence[str]) -> None:
    """Print what is wrong: with the command line, the input, this machine, or else with provision itself.

    Args:
        error: what ended the command.
        arguments: its command line. With an `--output` for programs, each finding is on standard output, too.
    """
    located = list(_tell(error))
    for name in offered("validate"):
        if name != TEXT and (f"--output={name}" in arguments or ("--output", name) in pairwise(arguments)):
            try:
                Call("validate", output=name).tell(located)
            except OSError:
                pass  # standard output is what is broken, and standard error has it


def _tell(error: Exception) -> Iterator[Located]:
    """Print an error as text, and return its findings with their places."""
    if isinstance(error, ConfigError):
        for problem in error.problems:
            click.echo(coded(str(problem), problem.code), err=True)
            yield Located(problem.finding(), problem.position)
        return
    finding = _finding(error)
    hint = f" ({finding.hint})" if finding.hint else ""
    click.echo(coded(f"error: {finding.message}{hint}", finding.code), err=True)
    yield Located(finding)


def _finding(error: Exception) -> Finding:
    if isinstance(error, click.NoSuchOption) and error.possibilities:
        from difflib import get_close_matches

        # The nearest alone: `--lmit` is a little like `--junit`, too.
        nearest = get_close_matches(error.option_name, error.possibilities, n=1, cutoff=0)
        error = click.NoSuchOption(error.option_name, possibilities=nearest, ctx=error.ctx)
    if isinstance(error, click.UsageError):
        verb = error.ctx.command_path if error.ctx else "provision"
        hint = f"see `{verb} --help`"
        return fault("wrong-usage", _sentence(error.format_message()), hint)
    if isinstance(error, click.ClickException):
        return fault("wrong-usage", error.format_message())
    if isinstance(error, OSError) and error.strerror:
        where = f"{error.filename}: " if error.filename else ""
        return fault("system-error", f"{where}{error.strerror.lower()}")
    if os.environ.get(DEBUG):
        raise error
    what = " ".join(str(error).split())
    message = f"a fault of provision itself, please report it: {type(error).__name__}: {what}"
    return fault("internal-fault", message, f"with {DEBUG}=1 it shows where")


def _sentence(message: str) -> str:
    """Bring one of click's messages into the form of ours: one line, small first letter, no full stop."""
    message = " ".join(message.split()).rstrip(".").replace(". Did you mean", "; did you mean")
    message = message.replace(". Choose from:", "; choose from")
    return message[:1].lower() + message[1:] if message[1:2].islower() else message
