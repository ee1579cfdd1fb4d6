"""The part of a project with one service, as verbs about one service have it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from provision.project.project import Project


def serving(project: Project, service: str) -> Project:
    """Return the hosts of a project that have a service, without their other services.

    Raises:
        click.UsageError: no playbook declares it; with the name that was probably meant.
    """
    from dataclasses import replace

    found = replace(project, fleet=project.fleet.serving(service))
    if not found.host_names:
        raise click.UsageError(f"no service {service!r} in the playbooks{_meant(service, project)}")
    return found


def _meant(service: str, project: Project) -> str:
    from provision.config.problems import closest

    names = sorted({known.name for known in project.fleet.endpoints})
    near = closest(service, names)
    return f"; did you mean `{near}`?" if near else f"; they have {', '.join(names) or 'none'}"
