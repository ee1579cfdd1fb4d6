"""`provision verify`."""

from __future__ import annotations

import click

from provision.cli import options


@click.command("verify")
@options.selection
@options.connection
@options.formats("verify")
@click.pass_context
def command(
    ctx: click.Context,
    chosen: options.Chosen,
    way: options.Way,
    output: options.Output,
) -> None:
    """Run every check of every service in PLAYBOOKS; change nothing.

    Exit code 0 when all pass, 1 otherwise.
    """
    from provision.cli import exit_code
    from provision.project.remembered import load

    project = load(chosen.selection())
    ctx.exit(exit_code(way.rollout(project).verify(output.writer(project))))
