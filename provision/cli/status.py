"""`provision status`."""

from __future__ import annotations

import click

from provision.cli import options


@click.command("status")
@options.shared("status", options.HOSTS)
def command(
    call: options.Call,
) -> int:
    """Show state, PID, uptime, port, model and GPU memory of the services in PLAYBOOKS.

    Exit code 0 when every host answered, whatever its services do; `verify` is what proves them.
    """
    from provision.wire.requests import Status

    project = call.project()
    return call.rollout(project).run(Status(), call.writer(project)).exit_code
