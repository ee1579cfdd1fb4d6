"""The command line. Every verb lives in a file of its own and is imported when it is called."""

from __future__ import annotations

import gc
import os
import sys
from importlib import import_module
from typing import Any, NoReturn

import click

from provision import __version__
from provision.overview import VERBS, overview

DEBUG = "PROVISION_DEBUG"
"""Environment variable: when set, a fault of provision's own shows where it happened."""

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
    from difflib import get_close_matches

    near = get_close_matches(name, VERBS, n=1)
    return f"; did you mean `{near[0]}`?" if near else f"; the verbs are {', '.join(VERBS)}"


@click.group(cls=Verbs, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, "-V", "--version", message="provision %(version)s")
def cli() -> None:
    """Put model servers on your own machines, from YAML in git, and prove that they answer."""


def main(argv: list[str] | None = None) -> NoReturn:
    """Run the command line and exit; bad input of any kind, usage included, is exit code 1.

    Args:
        argv: the arguments; None for those of this process, which then ends at once.
    """
    # A tenth of a short run would go into looking for garbage among what was just imported.
    gc.set_threshold(100_000)
    try:
        code = cli.main(args=argv, prog_name="provision", standalone_mode=False)
    except click.exceptions.Abort:
        click.echo("interrupted", err=True)
        code = EXIT_INTERRUPTED
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.format_message(), err=True)
        code = EXIT_BAD_INPUT
    except click.UsageError as error:
        verb = error.ctx.command_path if error.ctx else "provision"
        click.echo(f"error: {_sentence(error.format_message())} (see `{verb} --help`)", err=True)
        code = EXIT_BAD_INPUT
    except click.ClickException as error:
        click.echo(f"error: {error.format_message()}", err=True)
        code = EXIT_BAD_INPUT
    except KeyboardInterrupt:
        click.echo("interrupted", err=True)
        code = EXIT_INTERRUPTED
    except Exception as error:
        code = _explain(error)
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


def _sentence(message: str) -> str:
    """Bring one of click's messages into the form of ours: one line, small first letter, no full stop."""
    message = " ".join(message.split()).rstrip(".").replace(". Did you mean", "; did you mean")
    message = message.replace(". Choose from:", "; choose from")
    return message[:1].lower() + message[1:] if message[1:2].islower() else message


def _explain(error: Exception) -> int:
    """Print what is wrong: with the input, with this machine, or else with provision itself."""
    if os.environ.get(DEBUG):
        raise error
    problems: list[Any] | None = getattr(error, "problems", None)
    if problems is not None:
        for problem in problems:
            click.echo(str(problem), err=True)
    elif isinstance(error, OSError) and error.strerror:
        where = f"{error.filename}: " if error.filename else ""
        click.echo(f"error: {where}{error.strerror.lower()}", err=True)
    else:
        what = " ".join(str(error).split())
        click.echo(
            f"error: a fault of provision itself, please report it: {type(error).__name__}: {what} "
            f"(with {DEBUG}=1 it shows where)",
            err=True,
        )
    return EXIT_BAD_INPUT
