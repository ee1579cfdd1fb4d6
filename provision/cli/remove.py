"""`provision remove`."""

from __future__ import annotations

import click

from provision.cli import options
from provision.cli.asking import agreed, require_terminal


@click.command("remove")
@options.selection
@options.connection
@options.formats("remove")
@click.option("-y", "--yes", is_flag=True, help="Do not ask. Needed where there is no terminal.")
@click.option("--service", "services", multiple=True, help="Only this service; may be repeated.")
@click.option("--keep-models", is_flag=True, help="Leave downloaded models on the disk.")
@click.pass_context
def command(
    ctx: click.Context,
    chosen: options.Chosen,
    way: options.Way,
    output: options.Output,
    yes: bool,
    services: tuple[str, ...],
    keep_models: bool,
) -> None:
    """Take away what PLAYBOOKS have put on hosts, by the ledger that each host keeps.

    What was there before provision stays, and so do apt packages. Shows what goes and asks first.
    """
    from functools import partial

    from provision.cli import exit_code
    from provision.project.remembered import load

    if chosen.tags is not None:
        raise click.UsageError("remove does not take --tags; name services with --service")
    project = load(chosen.selection())
    if not yes:
        require_terminal(output)
    rollout = way.rollout(project)
    remove = partial(rollout.remove, services=services, keep_models=keep_models)
    if not yes:
        summary = remove(output.writer(project), dry=True)
        if not summary.removed:
            ctx.exit(exit_code(summary))
        if not agreed("Remove all this?"):
            click.echo("nothing was removed")
            ctx.exit(1)
    ctx.exit(exit_code(remove(output.writer(project))))
