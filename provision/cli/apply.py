"""`provision apply`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from provision.cli import options
from provision.cli.asking import agreed, require_terminal

if TYPE_CHECKING:
    from provision.project.project import Project, Selection


@click.command("apply")
@options.selection
@options.connection
@options.formats("apply")
@click.option("-y", "--yes", is_flag=True, help="Do not ask. Needed where there is no terminal.")
@click.option("--prune", is_flag=True, help="Remove what has left the playbooks.")
@click.option("--verify", is_flag=True, help="Run the checks of services that did not change, too.")
@click.option(
    "--rollback/--no-rollback",
    default=True,
    show_default=True,
    help="Put back the files that a service last answered with when it does not answer with the new ones.",
)
@click.option("--deep", is_flag=True, help="Read everything again: hash every model file.")
@click.option("--diff/--no-diff", default=True, show_default=True, help="Show what changes inside files.")
@click.pass_context
def command(
    ctx: click.Context,
    chosen: options.Chosen,
    way: options.Way,
    output: options.Output,
    yes: bool,
    prune: bool,
    verify: bool,
    rollback: bool,
    deep: bool,
    diff: bool,
) -> None:
    """Converge hosts to PLAYBOOKS, or to a saved plan, then prove that every changed service answers.

    On a terminal the plan is shown first and a question asked. A host that cannot be reached or fails is
    named in the summary and does not stop the others. Exit code 0 when every host is as declared, 1 if not.
    """
    from provision.cli import exit_code
    from provision.show.items import noted

    project, digests = _load(chosen.selection())
    if not yes:
        # What is wrong with the input comes first: a newcomer would find it out at the second try only.
        require_terminal(output)
    rollout = way.rollout(project)
    # Before the question, too: a file that cannot be written is better known before an answer.
    writer = output.writer(project)
    if not yes:
        plan = options.Output("plan").writer(project, diffs=diff)
        for note in noted(project):
            plan.take(note)
        found = rollout.inspect(plan, deep=deep)
        worth_asking = not found.ok or found.differing or (prune and found.orphaned)
        if worth_asking and not agreed("Apply this?"):
            click.echo("nothing was changed")
            ctx.exit(1)
        # What was agreed to is what is done: a host that has moved on since refuses.
        digests = found.digests
    summary = rollout.apply(
        writer,
        digests=digests,
        deep=deep,
        prune=prune,
        verify=verify,
        rollback=rollback,
    )
    ctx.exit(exit_code(summary))


def _load(selection: Selection) -> tuple[Project, dict[str, str]]:
    """Return the project of a selection, and the digests of its hosts when that is a saved plan."""
    from provision.project.project import Selection, is_saved
    from provision.project.remembered import load

    if len(selection.playbooks) != 1 or not is_saved(selection.playbooks[0]):
        return load(selection), {}
    (plan,) = selection.playbooks
    if selection != Selection((plan,)):
        raise click.UsageError("a saved plan says itself what to work on; leave out -i, -e, --limit, --tags")
    from provision.project.saved import restore

    return restore(plan)
