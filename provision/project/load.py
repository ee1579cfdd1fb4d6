"""From files to a fleet: what a selection of playbooks means for each host it matches."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from provision.config import inputs
from provision.config.inventory import Inventory, load_inventories
from provision.config.playbook import Playbook, load_playbook
from provision.config.problems import ConfigError, Position, Problem, failure, quoted
from provision.config.templating import SURROGATE
from provision.fleet.compile import compile_fleet
from provision.kinds.registry import FRONTS, KINDS
from provision.lock.fitting import Named, laid
from provision.lock.lockfile import load as load_lock
from provision.lock.lockfile import path_of
from provision.project.project import Project, Selection, find_root, is_saved
from provision.wire.finding import Finding, warning

if TYPE_CHECKING:
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
                raise failure("missing-file", f"{path}: there is no playbook in this directory", hint=hint)
            paths += found
        elif not selection.playbooks:
            hint = "name a playbook, or start with `provision init`"
            if inputs.entries(Path("../playbooks")) is not None:
                hint = f"go up to {Path.cwd().parent}, which has one"
            raise failure("missing-file", "there is no playbooks/ directory here", hint=hint)
        else:
            paths.append(path)
    return paths


def load(selection: Selection) -> Project:
    """Load and compile; all problems of all files are reported together.

    Raises:
        ConfigError: anything that is wrong with the input.
    """
    paths = find_playbooks(selection)
    problems = [*_not_utf8([*paths, *selection.inventories])]
    if problems:
        raise ConfigError(problems)
    inventory = Inventory.empty()
    try:
        inventory = load_inventories(
            selection.inventories or None,
            find_root(selection.playbooks),
            selection.extra,
            [path.stem for path in paths],
        )
    except ConfigError as error:
        problems += error.problems
    playbooks: list[Playbook] = []
    for path in paths:
        try:
            if is_saved(path):
                message = f"{path}: this is a saved plan, not a playbook"
                raise failure("saved-plan", message, hint="`provision apply` takes it, alone")
            playbooks.append(load_playbook(path))
        except ConfigError as error:
            problems += error.problems
    problems += _same_names(playbooks)
    if problems:
        raise ConfigError(problems)
    others, notes = _others(selection, paths)
    beyond = None
    if others or selection.limit is not None:
        beyond, hidden = _beyond(inventory, [*playbooks, *others], selection)
        notes += hidden
    return Project(
        selection=selection,
        playbooks={playbook.name: playbook.path for playbook in playbooks},
        hosts={name: host.reached() for name, host in inventory.hosts.items()},
        fleet=_locked(_fleet(inventory, playbooks, beyond, selection), playbooks, selection),
        notes=[*inventory.notes, *notes],
    )


def _locked(fleet: Fleet, playbooks: list[Playbook], selection: Selection) -> Fleet:
    """Return the fleet with what the locks of its playbooks have, if they count."""
    if not selection.locked:
        return fleet
    problems: list[Problem] = []
    locks: dict[str, Named] = {}
    for playbook in playbooks:
        path = path_of(playbook.path)
        try:
            lock = load_lock(path)
        except ConfigError as error:
            problems += error.problems
            continue
        if lock is not None:
            locks[playbook.name] = Named(path.name, lock)
    if problems:
        raise ConfigError(problems)
    return laid(fleet, locks) if locks else fleet


def _others(selection: Selection, paths: list[Path]) -> tuple[list[Playbook], list[Finding]]:
    """Return the other playbooks of the project, and notes on those that cannot be read."""
    others: list[Playbook] = []
    notes: list[Finding] = []
    known = {path.resolve() for path in paths}
    for path in inputs.entries(find_root(selection.playbooks) / "playbooks") or ():
        if path.suffix not in SUFFIXES or path.resolve() in known or path.is_dir():
            continue
        try:
            others.append(load_playbook(path))
        except ConfigError as error:
            notes.append(_unknown(str(path), error.problems[0]))
    return others, notes


def _unknown(playbook: str, why: Problem) -> Finding:
    message = f"the gateways of {playbook} are not known, as it cannot be used: {why}"
    return warning("skipped-playbook", message)


def _beyond(
    inventory: Inventory, playbooks: list[Playbook], selection: Selection
) -> tuple[Mapping[str, Sequence[Play]] | None, list[Finding]]:
    """Return all plays of the project, if a gateway may be among them, and notes on what hides one."""
    fronting = {str(each.path) for each in playbooks if any(play.kinds & FRONTS for play in each.plays)}
    if not fronting:
        return None, []
    plays, problems = match(inventory, playbooks, selection._replace(limit=None), wrong_plays_only=True)
    hidden = {each.position.path: each for each in problems if each.position}
    return plays, [_unknown(path, why) for path, why in hidden.items() if path in fronting]


def _not_utf8(paths: list[Path]) -> Iterator[Problem]:
    """Find paths that are not UTF-8: hosts and saved plans could not keep them."""
    for path in paths:
        if SURROGATE.search(str(path)):
            message = f"the path {quoted(str(path))} is not UTF-8 text"
            yield Problem("unreadable-file", None, message, "rename it")


def _same_names(playbooks: list[Playbook]) -> Iterator[Problem]:
    """Find playbooks of one name: hosts remember by the name which playbook declared what."""
    seen: dict[str, Playbook] = {}
    for playbook in playbooks:
        first = seen.setdefault(playbook.name, playbook)
        if first is not playbook:
            where = Position(str(playbook.path), 1, 1)
            message = f"two playbooks are called {playbook.name}, this one and {first.path}"
            yield Problem("name-taken", where, message, "give one of them another file name")


def match(
    inventory: Inventory,
    playbooks: Iterable[Playbook],
    selection: Selection,
    wrong_plays_only: bool = False,
) -> tuple[Mapping[str, Sequence[Play]], list[Problem]]:
    """Return the plays by host, in order and rendered for it, and what is wrong with plays.

    A host with a wrong play is left out: whatever that play declares would be reported as missing. With
    `wrong_plays_only` the other plays of such a host stay: a gateway among them is there all the same.
    """
    problems: list[Problem] = []
    plays: dict[str, list[Play]] = {}
    failed: set[str] = set()
    limit = selection.limit
    allowed = None if limit is None else {host.name for host in inventory.select(limit)}
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
                found = plays.setdefault(host.name, [])
                try:
                    found.append(raw.for_host(host, selection.extra))
                except ConfigError as error:
                    failed.add(host.name)
                    problems += error.problems
    if not plays and not problems:
        message = f"no play is for a host that --limit {quoted(str(limit))} names"
        problems.append(Problem("no-hosts", None, message))
    left_out = set() if wrong_plays_only else failed
    return {name: found for name, found in plays.items() if name not in left_out}, problems


def _fronts(plays: Mapping[str, Sequence[Play]]) -> bool:
    """Say whether a service of these plays passes requests to others, which may be on other hosts."""
    every = (play for found in plays.values() for play in found)
    return any(service.fronts() for play in every for service in play.fields.services.values())


def _over_several(plays: Mapping[str, Sequence[Play]]) -> bool:
    """Say whether a service of these plays runs over several hosts, of which some may be left out."""
    every = (play for found in plays.values() for play in found)
    return any(KINDS[each.kind].nodes(each) for play in every for each in play.fields.services.values())


def _fleet(
    inventory: Inventory,
    playbooks: list[Playbook],
    beyond: Mapping[str, Sequence[Play]] | None,
    selection: Selection,
) -> Fleet:
    plays, problems = match(inventory, playbooks, selection)
    around: Mapping[str, Sequence[Play]] = {}
    if selection.limit is not None and (_fronts(plays) or _over_several(plays)):
        around, found = match(inventory, playbooks, selection._replace(limit=None))
        # What is wrong with the hosts that are left out keeps a gateway from knowing what is behind it.
        problems += [each for each in found if each not in problems]
    try:
        fleet = compile_fleet([inventory.host(name) for name in plays], plays, around, beyond)
    except ConfigError as error:
        problems += error.problems
    if problems:
        raise ConfigError(problems)
    return fleet.tagged(selection.tags) if selection.tags else fleet
