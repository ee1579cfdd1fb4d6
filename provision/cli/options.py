"""The options that several verbs share."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, TypeVar, cast

import click

from provision.show.formats import TEXT, offered

if TYPE_CHECKING:
    from provision.project.project import Project, Selection
    from provision.rollout.rollout import Rollout
    from provision.show.writer import Writer

F = TypeVar("F", bound=Callable[..., Any])


class Decorator(Protocol):
    """What adds an option to a function."""

    def __call__(self, function: F, /) -> F:
        """Return the function with the option."""


class Chosen(NamedTuple):
    """What to work on, as it was typed."""

    playbooks: tuple[Path, ...]
    inventories: tuple[Path, ...]
    limit: str | None
    tags: str | None
    extra: tuple[str, ...]

    def selection(self) -> Selection:
        """Return it for the project loader.

        Raises:
            ConfigError: an extra variable is not NAME=VALUE.
            click.UsageError: --tags names none.
        """
        from provision.project.project import Selection

        tags = _tags(self.tags)
        return Selection(self.playbooks, self.inventories, self.limit, tags, variables(self.extra))


class Way(NamedTuple):
    """How to reach hosts, as it was typed.

    Args:
        forks: hosts at a time; None for the default.
        ask_become_pass: whether to ask for the sudo password.
        connect_timeout: seconds for a host's first word.
    """

    forks: int | None
    ask_become_pass: bool
    connect_timeout: float

    def rollout(self, project: Project) -> Rollout:
        """Return what does a verb's work on the hosts of a project; asks for the sudo password if told to.

        Raises:
            click.UsageError: there is no terminal to ask on.
        """
        from provision.cli.asking import sudo_password
        from provision.rollout.rollout import Reach, Rollout

        password = sudo_password() if self.ask_become_pass else None
        return Rollout(project, Reach(self.forks, self.connect_timeout, password))


class Output(NamedTuple):
    """The formats in which a verb tells what it does, as they were typed.

    Args:
        verb: its name.
        format: that of standard output.
        files: by the name of their format.
    """

    verb: str
    format: str = TEXT
    files: Mapping[str, Path] = {}

    def writer(self, project: Project | None = None, *, diffs: bool = True) -> Writer:
        """Return what writes it.

        Args:
            project: what the verb works on, if it works on hosts.
            diffs: show what changes inside files.

        Raises:
            OSError: a file cannot be written.
        """
        from provision.show.items import Run
        from provision.show.output import open_writer

        run = Run.of(self.verb, project, diffs) if project else Run(self.verb)
        return open_writer(run, self.format, self.files)


def variables(extra: tuple[str, ...]) -> dict[str, Any]:
    """Return `-e NAME=VALUE` and `-e @FILE` as variables; values are YAML, so `-e port=8002` is a number.

    Raises:
        ConfigError: one is not an assignment, or its name cannot be a variable's.
    """
    if not extra:
        return {}
    from provision.config.variables import parse_extra

    return parse_extra(extra)


def _tags(text: str | None) -> frozenset[str]:
    if text is None:
        return frozenset()
    names = frozenset(name.strip() for name in text.split(",") if name.strip())
    if not names:
        raise click.UsageError("--tags names no tag")
    return names


class Whole(click.IntRange):
    """A whole number within bounds, named in messages as people call it."""

    name = "whole number"


class Seconds(click.FloatRange):
    """A number of seconds within bounds."""

    name = "number of seconds"


playbooks = click.argument("playbooks", nargs=-1, type=click.Path(path_type=Path))
"""Playbook files; none means every playbook of the project."""


def _bundled(name: str, kind: type[Any], *decorators: Decorator) -> Decorator:
    """Return a decorator that adds options and passes their values as one argument of this kind."""
    keys = kind._fields

    def decorate(function: F) -> F:
        @wraps(function)
        def call(*args: Any, **values: Any) -> Any:
            values[name] = kind(**{key: values.pop(key) for key in keys})
            return function(*args, **values)

        return cast("F", _decorated(call, decorators))

    return decorate


def _decorated(function: F, decorators: Sequence[Decorator]) -> F:
    for decorator in reversed(decorators):
        function = decorator(function)
    return function


inventory = click.option(
    "-i",
    "--inventory",
    "inventories",
    multiple=True,
    type=click.Path(path_type=Path),
    help="Inventory file or directory; may be repeated. Default: inventories/ of the project.",
)
extra = click.option(
    "-e",
    "--extra-var",
    "extra",
    multiple=True,
    metavar="NAME=VALUE|@FILE",
    help="Set a variable above every other level; the value is read as YAML. @vars.yml takes all of a file. "
    "May be repeated.",
)
limit = click.option(
    "--limit", metavar="PATTERN", help="Only these hosts: names, groups, globs, !exclusions."
)
tags = click.option("--tags", metavar="TAG,…", help="Only plays and services with one of these tags.")
selection = _bundled("chosen", Chosen, playbooks, inventory, limit, tags, extra)
"""What to work on, passed to the verb as `chosen`."""


def formats(verb: str) -> Decorator:
    """Return a decorator that adds the options of a verb's output formats, passed to the verb as `output`."""
    shown, files = offered(verb), offered(verb, file=True)
    about = [f"{name}: {each.about}" for name, each in shown.items() if each.about]
    choices = [
        click.option(
            "--output",
            type=click.Choice([*shown]),
            default=TEXT,
            show_default=True,
            help=f"{'; '.join(about)}.",
        ),
        *(
            click.option(
                f"--{name}",
                metavar="FILE",
                type=click.Path(path_type=Path, dir_okay=False),
                help=f"Write {each.about}.",
            )
            for name, each in files.items()
        ),
    ]

    def decorate(function: F) -> F:
        @wraps(function)
        def call(*args: Any, **values: Any) -> Any:
            written = {name: path for name in files if (path := values.pop(name))}
            return function(*args, **{**values, "output": Output(verb, values["output"], written)})

        return cast("F", _decorated(call, choices))

    return decorate


connection = _bundled(
    "way",
    Way,
    click.option("--forks", type=Whole(1, 500), metavar="N", help="Hosts at a time. Default: 32."),
    click.option("--ask-become-pass", is_flag=True, help="Ask once for the sudo password of the hosts."),
    click.option(
        "--connect-timeout",
        type=Seconds(1, 600),
        metavar="SECONDS",
        default=15,
        show_default=True,
        help="For a host to answer at all.",
    ),
)
"""How to reach hosts, passed to the verb as `way`."""
