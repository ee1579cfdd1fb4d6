"""Plans on disk: what was reviewed, so that exactly that can be applied later or not at all."""

from __future__ import annotations

import dataclasses
import errno
import hashlib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from pydantic import BaseModel, ConfigDict, ValidationError

from provision import __version__
from provision.caches import write
from provision.catalog.text import private, secrets
from provision.config.pace import Portion
from provision.config.problems import ConfigError, failure
from provision.fleet.waves import waves
from provision.project.load import load
from provision.project.project import SAVED_PLAN, Project, Selection

if TYPE_CHECKING:
    from provision.config.hosts import Host


class Plan(BaseModel):
    """What a file holds: the selection, a digest of what it compiled to, and one of each host's state."""

    model_config = ConfigDict(extra="forbid", strict=True)

    format: Literal["provision-plan/3"] = SAVED_PLAN
    provision: str
    playbooks: list[str]
    inventories: list[str]
    limit: str | None
    tags: list[str]
    extra: dict[str, Any]
    locked: bool = False
    ignore: list[str] = []
    end_left_over: bool = False
    serial: str | None = None
    waves: list[list[str]] = []
    inputs: str
    hosts: dict[str, str]


class Saved(NamedTuple):
    """What was planned.

    Args:
        project: as it is now.
        digests: by host, of the state in which it was found.
        ignore: codes of foreseen errors that are to stop nothing.
        end_left_over: workers of ended servers are to end.
        serial: hosts of a wave, instead of what the plays say.
    """

    project: Project
    digests: Mapping[str, str]
    ignore: Sequence[str] = ()
    end_left_over: bool = False
    serial: Portion | None = None


def save(path: Path, planned: Saved) -> None:
    """Write what was planned. Only the user can read the file: `-e` may have brought secrets.

    A new file replaces what has this name, also a link: nobody who has opened the old file can read the new
    one, and the target of a link is not changed.

    Args:
        path: the file.
        planned: what was planned; a host without a digest cannot be saved.

    Raises:
        ConfigError: a host has no digest: what is in it now is not what an apply will find.
        OSError: it cannot be written.
    """
    project, digests = planned.project, planned.digests
    unknown = [name for name in project.host_names if name not in digests]
    if unknown:
        names = ", ".join(unknown)
        message = f"{path}: the plan of {names} cannot be saved: apply first creates, starts or recreates it"
        hint = "leave it out with --limit, or apply without a saved plan"
        raise failure("saved-plan", message, hint=hint)
    chosen = project.selection
    plan = Plan(
        provision=__version__,
        playbooks=list(map(str, project.playbooks.values())),
        inventories=list(map(str, chosen.inventories)),
        limit=chosen.limit,
        tags=sorted(chosen.tags),
        extra=dict(chosen.extra),
        locked=chosen.locked,
        ignore=list(planned.ignore),
        end_left_over=planned.end_left_over,
        serial=str(planned.serial) if planned.serial else None,
        waves=_waves(project, planned.serial),
        inputs=fingerprint(project),
        hosts=dict(digests),
    )
    if _special(path):
        raise OSError(errno.EINVAL, "a plan is saved to a regular file", str(path))
    write(path, plan.model_dump_json(indent=2).encode() + b"\n")


def _special(path: Path) -> bool:
    """Whether a path leads to something that must not be replaced, such as /dev/stdout."""
    if path.is_symlink() and path.readlink().is_relative_to("/proc"):
        return True
    return path.exists() and not path.is_file()


def _waves(project: Project, serial: Portion | None) -> list[list[str]]:
    return [list(names) for names in waves(project.fleet, serial).hosts]


def restore(path: Path) -> Saved:
    """Return what was planned, with the project as it is now.

    Raises:
        ConfigError: the file is damaged or of another version, or its inputs have changed since.
    """
    try:
        data = path.read_bytes()
        form = re.search(rb'"format":\s*"provision-plan/(\d+)"', data[:200])
        if form and int(form[1]) != int(SAVED_PLAN.partition("/")[2]):
            raise _refused(path, "this plan was saved by another version of provision")
        plan = Plan.model_validate_json(data)
        if plan.provision != __version__:
            raise _refused(path, f"this plan was saved by provision {plan.provision}, this is {__version__}")
    except (OSError, ValidationError):
        raise _refused(path, "this saved plan is damaged") from None
    playbooks, inventories = tuple(map(Path, plan.playbooks)), tuple(map(Path, plan.inventories))
    project = load(
        Selection(playbooks, inventories, plan.limit, frozenset(plan.tags), plan.extra, plan.locked)
    )
    serial = Portion.read(plan.serial) if plan.serial else None
    same = plan.hosts.keys() == set(project.host_names) and plan.waves == _waves(project, serial)
    if not same or fingerprint(project) != plan.inputs:
        raise _refused(path, "the playbooks or inventories have changed since this plan was made")
    return Saved(project, plan.hosts, plan.ignore, plan.end_left_over, serial)


COMPILED_AWAY = frozenset({"variables", "overridden", "facts", "groups", "position"})
"""Fields of a host that count only by what was compiled with them."""


def fingerprint(project: Project) -> str:
    """Return a digest of what a project compiles to, and of where and how it is done.

    Comments and layout do not count, and secrets only as references. A text that is declared secret, in the
    playbook or beside it, counts.
    """
    compiled: list[Any] = []
    for catalog in project.fleet.catalogs.values():
        compiled.append([_reached(host) for host in _way(catalog.host, project.hosts)])
        for each in catalog.resources:
            fields = {name: value for name, value in vars(each).items() if name not in ("spec", "position")}
            references = [[secret.kind, *secret.reference] for secret in secrets(each.spec)]
            texts = [hashlib.sha256(part.text.encode()).hexdigest() for part in private(each.spec)]
            compiled.append([fields, each.spec.plain(), references, texts])
        # What decides about a service is in its resources, too; places change with every line of a file.
        compiled += [{**vars(service), "declared": None} for service in catalog.services]
    return hashlib.sha256(json.dumps(compiled, sort_keys=True, default=_plain).encode()).hexdigest()


def _way(host: Host, hosts: Mapping[str, Host]) -> Iterator[Host]:
    """Return a host and, if it is a container, the hosts that it runs on."""
    yield host
    while host.on is not None:
        host = hosts[host.on]
        yield host


def _reached(host: Host) -> dict[str, Any]:
    names = {field.name for field in dataclasses.fields(host)} - COMPILED_AWAY
    # The prefix depends also on who runs provision.
    return {name: getattr(host, name) for name in names} | {"in": host.prefix}


def _plain(value: object) -> object:
    """Return what JSON cannot hold, such as a set, as something that it can."""
    return sorted(map(str, value)) if isinstance(value, (set, frozenset)) else str(value)


def _refused(path: Path, why: str) -> ConfigError:
    return failure("saved-plan", f"{path}: {why}", hint="make a new one with `provision plan --out`")
