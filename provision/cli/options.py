"""The options that several verbs share, and what follows from them."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import closing
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

import click

from provision.show.formats import TEXT, offered

if TYPE_CHECKING:
    from provision.config.pace import Portion
    from provision.project.project import Project, Selection
    from provision.rollout.rollout import Rollout
    from provision.rollout.verdicts import Foresee
    from provision.show.items import Item
    from provision.show.writer import Writer
    from provision.wire.events import Inspected
    from provision.wire.questions import Surveyed
    from provision.wire.rollout import Outlook

Decorator: TypeAlias = Callable[[Any], Any]


class Call(NamedTuple):
    """What was typed of the shared options, and the verb; a verb has only some of them.

    Each method raises ConfigError or click.UsageError where an option is wrong.
    """

    verb: str
    playbooks: tuple[Path, ...] = ()
    inventories: tuple[Path, ...] = ()
    limit: str | None = None
    tags: str | None = None
    extra: tuple[str, ...] = ()
    forks: int | None = None
    ask_become_pass: bool = False
    serial: Portion | None = None
    connect_timeout: float = 15.0
    output: str = TEXT
    files: Mapping[str, Path] = {}
    ignore: tuple[str, ...] = ()
    end_left_over: bool = False
    lock: bool = False

    def variables(self) -> dict[str, Any]:
        """Return `-e NAME=VALUE` and `-e @FILE` as variables; values are YAML: `-e port=8002` is a number."""
        if not self.extra:
            return {}
        from provision.config.variables import parse_extra

        return parse_extra(self.extra)

    def selection(self) -> Selection:
        """Return what to work on."""
        from provision.project.project import Selection

        tags = frozenset(name.strip() for name in (self.tags or "").split(",") if name.strip())
        if self.tags is not None and not tags:
            raise click.UsageError("--tags names no tag")
        return Selection(self.playbooks, self.inventories, self.limit, tags, self.variables(), self.lock)

    def project(self) -> Project:
        """Return what that means for each host."""
        from provision.project.remembered import load

        return load(self.selection())

    def rollout(self, project: Project) -> Rollout:
        """Return what does a verb's work on the hosts; asks for the sudo password if told to."""
        from provision.rollout.ahead import begin

        ahead = None if self.ask_become_pass else begin(project, self.forks)
        # After that: hosts start their interpreters while these are imported.
        from provision.cli.asking import sudo_password
        from provision.rollout.rollout import Reach, Rollout

        password = sudo_password() if self.ask_become_pass else None
        reach = Reach(self.forks, self.connect_timeout, password)
        return Rollout(project, reach, _foreseen(project), self.serial, ahead)

    def writer(self, project: Project | None = None, *, diffs: bool = True) -> Writer:
        """Return what writes the items of the verb, in the formats that were chosen.

        Args:
            project: what the verb works on, if it works on hosts.
            diffs: show what changes inside files.

        Raises:
            OSError: a file cannot be written.
        """
        from provision.show.items import Run
        from provision.show.output import open_writer

        run = Run.of(self.verb, project, diffs) if project else Run(self.verb)
        return open_writer(run, self.output, self.files)

    def tell(self, items: Iterable[Item]) -> None:
        """Write all that a verb without hosts has to tell."""
        with closing(self.writer()) as writer:
            for item in items:
                writer.take(item)


def _foreseen(project: Project) -> Foresee:
    """Return what says what is foreseen of the hosts of a project."""

    def foreseen(host: str, surveyed: Surveyed, differing: Sequence[Inspected]) -> Outlook:
        # Here, as only a run that starts services foresees anything.
        from provision.foresight.outlook import foresee

        return foresee(project.fleet.catalogs[host], surveyed, differing)

    return foreseen


class Hosts(click.ParamType["Portion"]):
    """A number of hosts, or a share of them."""

    name = "number of hosts"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return it; usage errors say how it is written."""
        from provision.config.pace import Portion

        try:
            return value if isinstance(value, Portion) else Portion.read(value)
        except ValueError:
            message = f"'{value}' is no number of hosts and no share of them; write such as 5 or 25%"
            self.fail(message, param, ctx)


class Whole(click.IntRange):
    """A whole number within bounds, named in messages as people call it."""

    name = "whole number"


class Seconds(click.FloatRange):
    """A number of seconds within bounds."""

    name = "number of seconds"


INVENTORY: tuple[Decorator, ...] = (
    click.option(
        "-i",
        "--inventory",
        "inventories",
        multiple=True,
        type=click.Path(path_type=Path),
        help="Inventory file or directory; may be repeated. Default: inventories/ of the project.",
    ),
    click.option(
        "-e",
        "--extra-var",
        "extra",
        multiple=True,
        metavar="NAME=VALUE|@FILE",
        help="Set a variable above every other level; the value is read as YAML. @vars.yml takes all of a "
        "file. May be repeated.",
    ),
    click.option("--limit", metavar="PATTERN", help="Only these hosts: names, groups, globs, !exclusions."),
)
"""Which hosts."""

SELECTION: tuple[Decorator, ...] = (
    click.argument("playbooks", nargs=-1, type=click.Path(path_type=Path)),
    *INVENTORY,
    click.option("--tags", metavar="TAG,…", help="Only plays and services with one of these tags."),
)
"""What to work on."""


def _vault(ctx: click.Context, param: click.Parameter, path: Path | None) -> None:
    """Have vaults opened by the password of a file, as if its path stood in Ansible's variable."""
    if path is not None:
        from provision.config.vault import PASSWORD_FILE

        os.environ[PASSWORD_FILE] = str(path.absolute())


HOSTS: tuple[Decorator, ...] = (
    *SELECTION,
    click.option(
        "--vault-password-file",
        type=click.Path(path_type=Path, exists=True, dir_okay=False),
        expose_value=False,
        callback=_vault,
        help="The password of Ansible Vault, or a program that prints it.",
    ),
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
"""What to work on, and how to reach it."""


WAIT: Decorator = click.option(
    "--wait",
    type=Seconds(0, 86400),
    metavar="SECONDS",
    default=600,
    show_default=True,
    help="For other runs that hold a host. 0: fail at once.",
)
"""How long other runs are waited for."""


def _ignored(ctx: click.Context, param: click.Parameter, codes: tuple[str, ...]) -> tuple[str, ...]:
    """Refuse codes of which none is foreseen."""
    if not codes:
        return ()
    from provision.config.problems import did_you_mean
    from provision.findings import foreseen

    known = foreseen()
    for code in codes:
        if code not in known:
            hint = did_you_mean(code, known) or f"known: {', '.join(known)}"
            raise click.BadParameter(f"'{code}' is no code of what is foreseen; {hint}", ctx, param)
    return tuple(dict.fromkeys(codes))


IGNORE: tuple[Decorator, ...] = (
    click.option(
        "--ignore",
        multiple=True,
        metavar="CODE",
        callback=_ignored,
        help="Go on although an error with this code is foreseen; may be repeated.",
    ),
)
"""What is not to stop a verb."""

LOCK: Decorator = click.option(
    "--lock/--no-lock",
    default=True,
    show_default=True,
    help="Install exactly what the lock file beside a playbook has, where there is one.",
)
"""Whether locks count."""

CONVERGING: tuple[Decorator, ...] = (
    *HOSTS,
    LOCK,
    click.option(
        "--serial",
        type=Hosts(),
        metavar="N|P%",
        help="Hosts that are changed at once, after those of the canary; instead of what the plays say.",
    ),
    *IGNORE,
    click.option(
        "--end-left-over",
        is_flag=True,
        help="Before services start, end workers of vLLM servers that have ended: they keep GPU memory.",
    ),
)
"""The same, and what is not to stop it."""


def formats(verb: str) -> list[Decorator]:
    """Return the options for the output formats of a verb."""
    shown, files = offered(verb), offered(verb, file=True)
    about = "; ".join(f"{name}: {each.about}" for name, each in shown.items() if each.about)
    kind = click.Path(path_type=Path, dir_okay=False)
    return [
        click.option(
            "--output", type=click.Choice([*shown]), default=TEXT, show_default=True, help=f"{about}."
        ),
        *(
            click.option(f"--{name}", metavar="FILE", type=kind, help=f"Write {each.about}.")
            for name, each in files.items()
        ),
    ]


def shared(verb: str, options: Sequence[Decorator] = (), *, output: bool = True) -> Decorator:
    """Return a decorator that adds options, and passes what was typed of them to the verb as one `Call`.

    Args:
        verb: its name.
        options: one of the groups above.
        output: add those of the output formats as well.
    """

    def decorate(function: Any) -> Any:
        @wraps(function)
        def call(**values: Any) -> Any:
            files = {name: path for name in offered(verb, file=True) if (path := values.pop(name, None))}
            typed = {name: values.pop(name) for name in Call._fields if name in values}
            return function(Call(verb, files=files, **typed), **values)

        for option in reversed([*options, *(formats(verb) if output else ())]):
            call = option(call)
        return call

    return decorate
