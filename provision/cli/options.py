"""The options that several verbs share."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeVar, cast

import click

from provision.show import writers

if TYPE_CHECKING:
    from provision.project.project import Project, Selection
    from provision.rollout.rollout import Rollout

F = TypeVar("F", bound=Callable[..., Any])


class Decorator(Protocol):
    """What adds an option to a function."""

    def __call__(self, function: F, /) -> F:
        """Return the function with the option."""


@dataclass(frozen=True)
class Chosen:
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


@dataclass(frozen=True)
class Way:
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
    keys = [field.name for field in fields(kind)]

    def decorate(function: F) -> F:
        @wraps(function)
        def call(*args: Any, **values: Any) -> Any:
            values[name] = kind(**{key: values.pop(key) for key in keys})
            return function(*args, **values)

        decorated: Any = call
        for decorator in reversed(decorators):
            decorated = decorator(decorated)
        return cast("F", decorated)

    return decorate


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
output = click.option(
    "--output",
    type=click.Choice(["text", "json"]),
    default="text",
    show_default=True,
    help="json: one versioned object per line.",
)

selection = _bundled("chosen", Chosen, playbooks, inventory, limit, tags, extra)
"""What to work on, passed to the verb as `chosen`."""

output_of_findings = click.option(
    "--output",
    type=click.Choice(["text", *writers.FINDINGS]),
    default="text",
    show_default=True,
    help="; ".join(f"{name}: {about}" for name, about in writers.FINDINGS.items()) + ".",
)


def reports(function: F) -> F:
    """Add an option for each format of files about a run, passed to the verb as `files`: name -> path."""

    @wraps(function)
    def call(*args: Any, **values: Any) -> Any:
        chosen = {name: values.pop(name) for name in writers.FILES}
        return function(*args, files={name: path for name, path in chosen.items() if path}, **values)

    decorated: Any = call
    for name, (_, about) in writers.FILES.items():
        kind = click.Path(path_type=Path, dir_okay=False)
        decorated = click.option(f"--{name}", name, metavar="FILE", type=kind, help=f"Write {about}")(
            decorated
        )
    return cast("F", decorated)


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
