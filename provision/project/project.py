"""What a command works on: the selection of the command line, and what it means for each host."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from provision.dataclass import dataclass
from provision.wire.finding import Finding

if TYPE_CHECKING:
    from provision.config.hosts import Host
    from provision.fleet.fleet import Fleet
    from provision.wire.revision import Origin

SAVED_PLAN: Literal["provision-plan/3"] = "provision-plan/3"
"""The format of a saved plan, and its version."""


class Selection(NamedTuple):
    """What to work on, as given on the command line.

    Args:
        playbooks: files; none means all of the project's `playbooks/`.
        inventories: files or directories; none means the project's `inventories/`.
        limit: host pattern that narrows every play.
        tags: only plays and services with one of these; none means all.
        extra: variables of `-e`, which go before those of every other level.
        locked: the locks of the playbooks count.
    """

    playbooks: tuple[Path, ...] = ()
    inventories: tuple[Path, ...] = ()
    limit: str | None = None
    tags: frozenset[str] = frozenset()
    extra: Mapping[str, Any] = {}
    locked: bool = False

    @property
    def partial(self) -> bool:
        """Whether something that the playbooks declare is left out on purpose."""
        return bool(self.tags)


@dataclass
class Project:
    """What was loaded and compiled.

    Args:
        selection: what it was loaded by.
        playbooks: the files by name; hosts remember by these names which playbook declared what.
        hosts: all hosts of the inventory, without what only compiling needs.
        fleet: what each host that a play matches is to have.
        notes: what could not be used in the inventories, when it is not about one host.
    """

    selection: Selection
    playbooks: dict[str, Path]
    hosts: dict[str, Host]
    fleet: Fleet
    notes: Sequence[Finding] = ()

    @property
    def playbook_names(self) -> list[str]:
        """The names of the playbooks, sorted."""
        return sorted(self.playbooks)

    def origin(self) -> Origin | None:
        """Return the commit that the playbooks come from; None outside of a git repository."""
        from provision.project.commit import origin

        playbooks = tuple(self.playbooks.values())
        return origin(find_root(playbooks), playbooks)

    @property
    def host_names(self) -> list[str]:
        """The hosts of the fleet, in the order in which they are shown."""
        return list(self.fleet.catalogs)


def find_root(playbooks: tuple[Path, ...]) -> Path:
    """Return the directory that holds `playbooks/` and `inventories/`, going by the first playbook."""
    if not playbooks:
        return Path()
    folder = playbooks[0].parent
    if folder.resolve().name != "playbooks":
        return folder
    return folder.parent if folder.name == "playbooks" else folder / ".."


def is_saved(path: Path) -> bool:
    """Whether a file is a saved plan rather than a playbook."""
    try:
        with path.open("rb") as file:
            head = file.read(200)
    except OSError:
        return False
    return head.lstrip().startswith(b"{") and SAVED_PLAN.partition("/")[0].encode() + b"/" in head
