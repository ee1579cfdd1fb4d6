"""From files to a fleet: what a selection of playbooks means for each host it matches."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from provision.config import inputs
from provision.config.inventory import Inventory, load_inventories
from provision.config.playbook import Playbook, load_playbook
from provision.config.problems import ConfigError, Position, Problem, quoted
from provision.config.templating import SURROGATE
from provision.fleet.compile import compile_fleet
from provision.project.project import Project, Selection, find_root, is_saved

if TYPE_CHECKING:
    from provision.config.hosts import Host
    from provision.config.playbook import Play
    from provision.fleet.fleet import Fleet

SUFFIXES = (".yml", ".yaml")


def find_playbooks(selection: Selection) -> list[Path]:
    """Return the playbook files of a selection.

    Raises:
        ConfigError: none are named and the project has none.
    """
    paths: list[Path] = []
    for path in selection.playbooks or (Path("playbooks"),):
        entries = inputs.entries(path)
        if entries is not None:
            found = [each for each in entries if each.suffix in SUFFIXES and not each.is_dir()]
            if not found:
                hint = "write one that ends in .yml, or start with `provision init`"
                raise ConfigError(
                    [Problem("missing-file", None, f"{path}: there is no playbook in this directory", hint)]
                )
            paths += found
        elif not selection.playbooks:
            hint = "name a playbook, or start with `provision init`"
            if inputs.entries(Path("../playbooks")) is not None:
                hint = f"go up to {Path.cwd().parent}, which has one"
            raise ConfigError([Problem("missing-file", None, "there is no playbooks/ directory here", hint)])
        else:
            paths.append(path)
    return paths


def load(selection: Selection) -> Project:
    """Load and compile; every problem of every file comes out at once.

    Raises:
        ConfigError: anything that is wrong with the input.
    """
    paths = find_playbooks(selection)
    problems = [*_unnamable([*paths, *selection.inventories])]
    if problems:
        raise ConfigError(problems)
    root = find_root(selection.playbooks)
    inventory = Inventory.empty()
    try:
        inventory = load_inventories(
            list(selection.inventories) or None, root, selection.extra, [path.stem for path in paths]
        )
    except ConfigError as error:
        problems += error.problems
    playbooks: list[Playbook] = []
    for path in paths:
        try:
            if is_saved(path):
                hint = "`provision apply` takes it, alone"
                raise ConfigError(
                    [Problem("saved-plan", None, f"{path}: this is a saved plan, not a playbook", hint)]
                )
            playbooks.append(load_playbook(path))
        except ConfigError as error:
            problems += error.problems
    problems += _same_names(playbooks)
    if problems:
        raise ConfigError(problems)
    return Project(
        selection=selection,
        playbooks={playbook.name: playbook.path for playbook in playbooks},
        hosts={name: host.reached() for name, host in inventory.hosts.items()},
        fleet=_fleet(inventory, playbooks, selection),
        notes=inventory.notes,
    )


def _unnamable(paths: list[Path]) -> Iterator[Problem]:
    """Find paths that cannot be written down: hosts and saved plans name what they are of in UTF-8."""
    for path in paths:
        if SURROGATE.search(str(path)):
            yield Problem(
                "unreadable-file", None, f"the path {quoted(str(path))} is not UTF-8 text", "rename it"
            )


def _same_names(playbooks: list[Playbook]) -> Iterator[Problem]:
    """Find playbooks that hosts could not tell apart: they remember who put what there by these names."""
    seen: dict[str, Playbook] = {}
    for playbook in playbooks:
        first = seen.setdefault(playbook.name, playbook)
        if first is not playbook:
            where = Position(str(playbook.path), 1, 1)
            message = f"two playbooks are called {playbook.name}, this one and {first.path}"
            yield Problem("name-taken", where, message, "give one of them another file name")


class Matched(NamedTuple):
    """Which plays are for which hosts.

    Args:
        hosts: those of which all plays are right, in the order of the playbooks.
        plays: by host, in order, rendered for it.
        problems: what is wrong with the plays of the other hosts.
    """

    hosts: list[Host]
    plays: dict[str, list[Play]]
    problems: list[Problem]


def match(inventory: Inventory, playbooks: Iterable[Playbook], selection: Selection) -> Matched:
    """Return the hosts that the plays of a selection are for, with their plays."""
    problems: list[Problem] = []
    plays: dict[str, list[Play]] = {}
    hosts: dict[str, Host] = {}
    failed: set[str] = set()
    allowed = (
        {host.name for host in inventory.select(selection.limit)} if selection.limit is not None else None
    )
    for playbook in playbooks:
        for raw in playbook.plays:
            try:
                matched = inventory.select(raw.hosts, raw.where(("hosts",)))
            except ConfigError as error:
                problems += error.problems
                continue
            for host in matched:
                if allowed is not None and host.name not in allowed:
                    continue
                hosts[host.name] = host
                try:
                    plays.setdefault(host.name, []).append(raw.for_host(host, selection.extra))
                except ConfigError as error:
                    failed.add(host.name)
                    problems += error.problems
    if not hosts and not problems:
        message = f"no play is for a host that --limit {quoted(str(selection.limit))} names"
        problems.append(Problem("no-hosts", None, message))
    # Of a play that failed, what it declares would be found missing.
    return Matched([host for name, host in hosts.items() if name not in failed], plays, problems)


def _fleet(inventory: Inventory, playbooks: list[Playbook], selection: Selection) -> Fleet:
    matched = match(inventory, playbooks, selection)
    problems = list(matched.problems)
    try:
        fleet = compile_fleet(matched.hosts, matched.plays)
    except ConfigError as error:
        problems += error.problems
    if problems:
        raise ConfigError(problems)
    return fleet.tagged(selection.tags) if selection.tags else fleet
