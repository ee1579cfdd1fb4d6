"""From files to catalogs: what a selection of playbooks means for each host it matches."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from provision.compile.host import compile_host
from provision.config.inventory import Inventory, load_inventories
from provision.config.playbook import Playbook, load_playbook
from provision.config.problems import ConfigError, Position, Problem, did_you_mean, quoted

if TYPE_CHECKING:
    from provision.compile.catalog import Catalog
    from provision.config.inventory import Host
    from provision.config.playbook import Play

SUFFIXES = (".yml", ".yaml")

SAVED_PLAN: Literal["provision-plan/1"] = "provision-plan/1"
"""What a saved plan says of itself at its beginning."""


@dataclass(frozen=True)
class Selection:
    """What to work on, as the command line says it.

    Args:
        playbooks: files; none means all of the project's `playbooks/`.
        inventories: files or directories; none means the project's `inventories/`.
        limit: host pattern that narrows every play.
        tags: only plays and services with one of these; none means all.
        extra: variables above every other level.
    """

    playbooks: tuple[Path, ...] = ()
    inventories: tuple[Path, ...] = ()
    limit: str | None = None
    tags: frozenset[str] = frozenset()
    extra: dict[str, Any] = field(default_factory=dict)

    @property
    def partial(self) -> bool:
        """Whether something that the playbooks declare is left out on purpose."""
        return bool(self.tags)


@dataclass
class Project:
    """What was loaded: the inventory, the playbooks, and a catalog for each host they match."""

    root: Path
    inventory: Inventory
    playbooks: list[Playbook]
    catalogs: list[Catalog]

    @property
    def playbook_names(self) -> list[str]:
        """The names under which hosts remember who put what there."""
        return sorted({playbook.name for playbook in self.playbooks})

    @property
    def host_names(self) -> list[str]:
        """The hosts, in the order in which people read of them."""
        return [catalog.host.name for catalog in self.catalogs]


def find_root(playbooks: tuple[Path, ...]) -> Path:
    """Return the directory that holds `playbooks/` and `inventories/`, going by the first playbook."""
    if not playbooks:
        return Path()
    folder = playbooks[0].parent
    if folder.resolve().name != "playbooks":
        return folder
    return folder.parent if folder.name == "playbooks" else folder / ".."


def find_playbooks(selection: Selection) -> list[Path]:
    """Return the playbook files of a selection.

    Raises:
        ConfigError: none are named and the project has none.
    """
    paths: list[Path] = []
    for path in selection.playbooks or (Path("playbooks"),):
        if path.is_dir():
            found = sorted(each for each in path.iterdir() if each.suffix in SUFFIXES and each.is_file())
            if not found:
                raise ConfigError([Problem(None, f"{path}: there is no playbook in this directory", None)])
            paths += found
        elif not selection.playbooks:
            hint = "name a playbook, or start with `provision init`"
            raise ConfigError([Problem(None, "there is no playbooks/ directory here", hint)])
        else:
            paths.append(path)
    return paths


def is_saved(path: Path) -> bool:
    """Whether a file is a saved plan rather than a playbook."""
    try:
        with path.open("rb") as file:
            head = file.read(200)
    except OSError:
        return False
    return head.lstrip().startswith(b"{") and SAVED_PLAN.encode() in head


def load(selection: Selection) -> Project:
    """Load and compile; every problem of every file comes out at once.

    Raises:
        ConfigError: anything that is wrong with the input.
    """
    problems: list[Problem] = []
    paths = find_playbooks(selection)
    root = find_root(selection.playbooks)
    inventory = Inventory.empty()
    try:
        inventory = load_inventories(list(selection.inventories) or None, root, selection.extra)
    except ConfigError as error:
        problems += error.problems
    playbooks: list[Playbook] = []
    for path in paths:
        try:
            if is_saved(path):
                hint = "`provision apply` takes it, alone"
                raise ConfigError([Problem(None, f"{path}: this is a saved plan, not a playbook", hint)])
            playbooks.append(load_playbook(path))
        except ConfigError as error:
            problems += error.problems
    problems += _same_names(playbooks)
    if problems:
        raise ConfigError(problems)
    catalogs = _compile(inventory, playbooks, selection)
    return Project(root, inventory, playbooks, catalogs)


def _same_names(playbooks: list[Playbook]) -> Iterator[Problem]:
    """Find playbooks that hosts could not tell apart: they remember who put what there by these names."""
    seen: dict[str, Playbook] = {}
    for playbook in playbooks:
        first = seen.setdefault(playbook.name, playbook)
        if first is not playbook:
            where = Position(str(playbook.path), 1, 1)
            message = f"two playbooks are called {playbook.name}, this one and {first.path}"
            yield Problem(where, message, "give one of them another file name")


def _compile(inventory: Inventory, playbooks: list[Playbook], selection: Selection) -> list[Catalog]:
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
        problems.append(Problem(None, message))
    catalogs = []
    for name, host in hosts.items():
        if name in failed:
            # What the failed play declares would be found missing.
            continue
        try:
            catalogs.append(compile_host(host, plays.get(name, [])))
        except ConfigError as error:
            problems += error.problems
    if problems:
        raise ConfigError(problems)
    return _tagged(catalogs, selection.tags) if selection.tags else catalogs


def _tagged(catalogs: list[Catalog], tags: frozenset[str]) -> list[Catalog]:
    """Return what carries one of the tags; hosts that have nothing of that are left alone."""
    known = frozenset[str]().union(*(each.tags for catalog in catalogs for each in catalog.resources))
    unknown = sorted(tags - known)
    if unknown:
        hint = did_you_mean(unknown[0], known, "tags") or "no play and no service has tags"
        raise ConfigError([Problem(None, f"nothing has the tag {quoted(unknown[0])}", hint)])
    return [part for part in (catalog.tagged(tags) for catalog in catalogs) if part.resources]
