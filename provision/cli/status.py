"""`provision status`."""

from __future__ import annotations

import click

from provision.cli import options


@click.command("status")
@options.selection
@options.connection
@options.formats("status")
@click.pass_context
def command(
    ctx: click.Context,
    chosen: options.Chosen,
    way: options.Way,
    output: options.Output,
) -> None:
    """Show state, PID, uptime, port, model and GPU memory of the services in PLAYBOOKS.

    Exit code 0 when every host answered, whatever its services do; `verify` is what proves them.
    """
    from provision.cli import exit_code
    from provision.project.remembered import load

    project = load(chosen.selection())
    ctx.exit(exit_code(way.rollout(project).status(output.writer(project))))
