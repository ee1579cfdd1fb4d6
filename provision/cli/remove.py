"""`provision remove`."""

from __future__ import annotations

import click

from provision.cli import options
from provision.cli.asking import agreed, require_terminal


@click.command("remove")
@options.shared("remove", (*options.HOSTS, *options.IGNORE))
@options.WAIT
@click.option("-y", "--yes", is_flag=True, help="Do not ask. Needed where there is no terminal.")
@click.option("--service", "services", multiple=True, help="Only this service; may be repeated.")
@click.option("--keep-models", is_flag=True, help="Leave downloaded models on the disk.")
def command(
    call: options.Call,
    wait: float,
    yes: bool,
    services: tuple[str, ...],
    keep_models: bool,
) -> int:
    """Take away what PLAYBOOKS have put on hosts, by the ledger that each host keeps.

    What was there before provision stays, and so do apt packages. Shows what goes and asks first.
    """
    from provision.wire.requests import Remove

    if call.tags is not None:
        raise click.UsageError("remove does not take --tags; name services with --service")
    project = call.project()
    if not yes:
        require_terminal(call)
    rollout = call.rollout(project)
    names, keep = list(services) or None, ["model"] if keep_models else []
    remove = Remove(
        playbooks=project.playbook_names, names=names, keep=keep, ignore=list(call.ignore), patience=wait
    )
    if not yes:
        summary = rollout.run(remove.replace(dry=True), call.writer(project))
        if not summary.removed:
            return summary.exit_code
        if not agreed("Remove all this?"):
            click.echo("nothing was removed")
            return 1
    return rollout.run(remove, call.writer(project)).exit_code
