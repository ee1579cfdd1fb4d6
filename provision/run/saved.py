"""Plans on disk: what was looked at, so that exactly that can be applied later or not at all."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from provision.compile.text import mask, secrets
from provision.config.problems import ConfigError, Problem
from provision.run.loading import load
from provision.run.project import SAVED_PLAN, Project, Selection

if TYPE_CHECKING:
    from provision.show.report import Report


class Plan(BaseModel):
    """What a file holds: the choice of the command line, what it compiled to, and how each host was found."""

    model_config = ConfigDict(extra="forbid", strict=True)

    format: Literal["provision-plan/1"] = SAVED_PLAN
    playbooks: list[str]
    inventories: list[str]
    limit: str | None
    tags: list[str]
    extra: dict[str, Any]
    inputs: str
    hosts: dict[str, str]


def save(path: Path, chosen: Selection, project: Project, report: Report) -> None:
    """Write what was planned. Only the user can read the file: `-e` may have brought anything.

    Raises:
        OSError: it cannot be written.
    """
    plan = Plan(
        playbooks=[str(path) for path in project.playbooks.values()],
        inventories=[str(inventory) for inventory in chosen.inventories],
        limit=chosen.limit,
        tags=sorted(chosen.tags),
        extra=chosen.extra,
        inputs=fingerprint(project),
        hosts={
            name: host.done.digest for name, host in report.hosts.items() if host.done and host.done.digest
        },
    )
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        file.write(plan.model_dump_json(indent=2) + "\n")


def restore(path: Path) -> tuple[Selection, dict[str, str], Project]:
    """Return the saved choice, the digest of each host, and the project as it is now.

    Raises:
        ConfigError: the file is damaged, or its inputs have changed since.
    """
    try:
        plan = Plan.model_validate_json(path.read_bytes())
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
    return chosen, plan.hosts, project


def fingerprint(project: Project) -> str:
    """Name what a project compiles to. Comments and layout do not count, and secrets only as references."""
    compiled: list[Any] = []
    for catalog in project.catalogs:
        host = catalog.host
        compiled.append([host.name, host.connection, host.address, host.port, host.user, host.become])
        for each in catalog.resources:
            references = [secret.describe() for secret in secrets(each.spec)]
            compiled.append([each.id, each.type, mask(each.spec), references, each.needs, each.triggers])
    return hashlib.sha256(json.dumps(compiled, sort_keys=True).encode()).hexdigest()


def _refused(path: Path, why: str) -> ConfigError:
    return ConfigError([Problem(None, f"{path}: {why}", "make a new one with `provision plan --out`")])
