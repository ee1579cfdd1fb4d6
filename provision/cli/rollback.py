"""`provision rollback`."""

from __future__ import annotations

import click

from provision.cli import options
from provision.cli.asking import agreed, require_terminal
from provision.cli.serving import serving


@click.command("rollback")
@click.argument("service")
@options.shared("rollback", (*options.HOSTS, *options.IGNORE))
@click.option(
    "--to",
    type=options.Whole(1),
    metavar="REVISION",
    help="Which revision, by its number in `history`. Default: the one before.",
)
@options.WAIT
@click.option("-y", "--yes", is_flag=True, help="Do not ask. Needed where there is no terminal.")
def command(
    call: options.Call,
    wait: float,
    service: str,
    to: int | None,
    yes: bool,
) -> int:
    """Run again what SERVICE ran with before, and prove that it answers.

    Its script, env file, unit and environment are those of that revision. The playbooks stay as they are, so
    the next apply goes forward again.
    """
    from provision.wire.requests import Rollback

    project = serving(call.project(), service)
    if not yes:
        require_terminal(call)
        where = f"revision {to}" if to is not None else "the revision before"
        if not agreed(f"Go back to {where} of {service} on {', '.join(project.host_names)}?"):
            click.echo("nothing was changed")
            return 1
    rollback = Rollback(to=to, ignore=list(call.ignore), patience=wait)
    return call.rollout(project).run(rollback, call.writer(project)).exit_code
