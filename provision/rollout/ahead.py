"""Interpreters that are started on the hosts of a project before it is known what they are asked."""

from __future__ import annotations

from typing import TYPE_CHECKING

from provision.connect import connection_to
from provision.transport.ahead import MOST, Ahead

if TYPE_CHECKING:
    from provision.project.project import Project

__all__ = ["Ahead", "begin"]


def begin(project: Project, forks: int | None) -> Ahead:
    """Begin on the first hosts of a project, as far as they have a kept connection.

    Args:
        project: its sudo must not ask for a password.
        forks: hosts at a time; None for the default.
    """
    # A container may not be there yet.
    hosts = [each.host for each in project.fleet.catalogs.values() if each.host.connection == "ssh"]
    ahead = Ahead()
    ahead.begin(connection_to(host, project.hosts) for host in hosts[: min(forks or MOST, MOST)])
    return ahead
