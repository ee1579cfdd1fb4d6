"""`provision history`."""

from __future__ import annotations

from pathlib import Path

import click

from provision.cli import options
from provision.cli.serving import serving


@click.command("history")
@click.argument("service", required=False)
@options.shared("history", options.HOSTS)
def command(
    call: options.Call,
    service: str | None,
) -> int:
    """List what SERVICE, or every service, has run with: who changed what, from which commit, how it went.

    A host lists the last 50 changes of a service. `rollback` can go back to those that are marked with *.
    """
    from provision.wire.requests import History

    if service is not None and service.endswith((".yml", ".yaml")):
        call, service = call._replace(playbooks=(Path(service), *call.playbooks)), None
    project = call.project()
    if service is not None:
        project = serving(project, service)
    return call.rollout(project).run(History(), call.writer(project)).exit_code
