"""Plans on disk: what was looked at, so that exactly that can be applied later or not at all."""

from __future__ import annotations

import dataclasses
import errno
import hashlib
import json
import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from secrets import token_hex
from typing import TYPE_CHECKING, Any, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from provision import __version__
from provision.catalog.text import private, secrets
from provision.config.problems import ConfigError, Problem
from provision.project.load import load
from provision.project.project import SAVED_PLAN, Project, Selection

if TYPE_CHECKING:
    from provision.config.hosts import Host


class Plan(BaseModel):
    """What a file holds: the choice of the command line, what it compiled to, and how each host was found."""

    model_config = ConfigDict(extra="forbid", strict=True)

    format: Literal["provision-plan/3"] = SAVED_PLAN
    provision: str
    playbooks: list[str]
    inventories: list[str]
    limit: str | None
    tags: list[str]
    extra: dict[str, Any]
    inputs: str
    hosts: dict[str, str]


def save(path: Path, project: Project, digests: Mapping[str, str]) -> None:
    """Write what was planned. Only the user can read the file: `-e` may have brought anything.

    It is a new file that takes the place of what had its name, a link included: nobody keeps a right to read
    it, and nothing else is written to.

    Args:
        path: the file.
        project: what was planned.
        digests: host -> what names the state in which it was found.

    Raises:
        OSError: it cannot be written.
    """
    chosen = project.selection
    plan = Plan(
        provision=__version__,
        playbooks=[str(path) for path in project.playbooks.values()],
        inventories=[str(inventory) for inventory in chosen.inventories],
        limit=chosen.limit,
        tags=sorted(chosen.tags),
        extra=chosen.extra,
        inputs=fingerprint(project),
        hosts=dict(digests),
    )
    if _special(path):
        raise OSError(errno.EINVAL, "a plan is saved to a regular file", str(path))
    work = path.with_name(f".{path.name}.{os.getpid()}.{token_hex(8)}")
    handle = os.open(work, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            # A default access list of the directory may have given more.
            os.fchmod(handle, 0o600)
            file.write(plan.model_dump_json(indent=2) + "\n")
        work.replace(path)
    except BaseException:
        work.unlink(missing_ok=True)
        raise


def _special(path: Path) -> bool:
    """Whether a path leads to something that must not be replaced, such as /dev/stdout."""
    if os.path.lexists(path) and os.path.islink(path) and os.readlink(path).startswith("/proc/"):
        return True
    return path.exists() and not path.is_file()


def restore(path: Path) -> tuple[Project, dict[str, str]]:
    """Return the project as it is now, and the digest of each host as it was found.

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
    chosen = Selection(
        tuple(map(Path, plan.playbooks)),
        tuple(map(Path, plan.inventories)),
        plan.limit,
        frozenset(plan.tags),
        plan.extra,
    )
    project = load(chosen)
    if fingerprint(project) != plan.inputs or plan.hosts.keys() != set(project.host_names):
        raise _refused(path, "the playbooks or inventories have changed since this plan was made")
    return project, plan.hosts


COMPILED_AWAY = frozenset({"variables", "overridden", "facts", "groups", "position"})
"""What of a host counts only by what was compiled with it. All else says where things are done, and how."""


def fingerprint(project: Project) -> str:
    """Name what a project compiles to, and where and how it is done.

    Comments and layout do not count, and secrets only as references. A text in the playbook or beside it that
    is declared secret counts.
    """
    compiled: list[Any] = []
    for catalog in project.fleet.catalogs.values():
        compiled.append([_reached(host) for host in _way(catalog.host, project.hosts)])
        for each in catalog.resources:
            told = {name: value for name, value in vars(each).items() if name not in ("spec", "position")}
            references = [[secret.kind, *secret.reference] for secret in secrets(each.spec)]
            texts = [hashlib.sha256(part.text.encode()).hexdigest() for part in private(each.spec)]
            compiled.append([told, each.spec.plain(), references, texts])
        compiled += [vars(service) for service in catalog.services]
    return hashlib.sha256(json.dumps(compiled, sort_keys=True, default=_plain).encode()).hexdigest()


def _way(host: Host, hosts: Mapping[str, Host]) -> Iterator[Host]:
    """Return a host and those that it stands in, if it is a container."""
    seen: set[str] = set()
    step: Host | None = host
    while step is not None and step.name not in seen:
        seen.add(step.name)
        yield step
        step = hosts.get(step.on) if step.on is not None else None


def _reached(host: Host) -> dict[str, Any]:
    told = {field.name: getattr(host, field.name) for field in dataclasses.fields(host)}
    # The prefix follows from who runs provision, too.
    return {name: value for name, value in told.items() if name not in COMPILED_AWAY} | {"in": host.prefix}


def _plain(value: object) -> object:
    """Return sets and the like as JSON can have them."""
    return sorted(map(str, value)) if isinstance(value, (set, frozenset)) else str(value)


def _refused(path: Path, why: str) -> ConfigError:
    return ConfigError(
        [Problem("saved-plan", None, f"{path}: {why}", "make a new one with `provision plan --out`")]
    )
