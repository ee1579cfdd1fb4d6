"""The command line. Every verb lives in a file of its own and is imported when it is called."""

from __future__ import annotations

import os
import sys
from importlib import import_module
from io import TextIOWrapper
from typing import NoReturn

import click

from provision import __version__
from provision.overview import VERBS, overview

EXIT_BAD_INPUT = 1
EXIT_INTERRUPTED = 130


class Verbs(click.Group):
    """The group of verbs; imports only the one that is called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the verbs in the order in which people meet them."""
        return list(VERBS)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        """Import and return a verb."""
        if name not in VERBS:
            return None
        command: click.Command = import_module(f"provision.cli.{name}").command
        return command

    def format_help(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the overview."""
        formatter.write(overview())

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find a verb, or say which one was probably meant."""
        name = args[0]
        if name not in VERBS and not name.startswith("-"):
            ctx.fail(f"no such verb {name!r}{_meant(name)}")
        return super().resolve_command(ctx, args)


def _meant(name: str) -> str:
    from provision.config.problems import closest

    near = closest(name, VERBS)
    return f"; did you mean `{near}`?" if near else f"; the verbs are {', '.join(VERBS)}"


@click.group(cls=Verbs, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, "-V", "--version", message="provision %(version)s")
def cli() -> None:
    """Put model servers on your own machines, from YAML in git, and prove that they answer."""


def main(argv: list[str] | None = None) -> NoReturn:
    """Run the command line and exit; bad input of any kind, usage included, is exit code 1.

    Args:
        argv: the arguments; None for those of this process, which then ends at once.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="replace")  # a locale without ✓ must not end a run
    try:
        code = cli.main(args=argv, prog_name="provision", standalone_mode=False)
    except (click.exceptions.Abort, KeyboardInterrupt):
        click.echo("interrupted", err=True)
        code = EXIT_INTERRUPTED
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.format_message(), err=True)
        code = EXIT_BAD_INPUT
    except Exception as error:
        from provision.cli.faults import tell

        tell(error, sys.argv[1:] if argv is None else argv)
        code = EXIT_BAD_INPUT
    if argv is None:
        _leave(code or 0)
    sys.exit(code or 0)


def _leave(code: int) -> NoReturn:
    """End the process without tidying up its memory, which takes as long as importing a library."""
    try:
        for stream in (sys.stdout, sys.stderr):
            if stream is not None:
                stream.flush()
    except OSError:
        # Whoever read our output has seen enough.
        pass
    os._exit(code)
