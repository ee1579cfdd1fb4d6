"""`provision plan`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from provision.cli import options

if TYPE_CHECKING:
    from provision.project.project import Project
    from provision.rollout.summary import Summary

CHANGES = 2


@click.command("plan")
@options.selection
@options.connection
@options.formats("plan")
@click.option("--deep", is_flag=True, help="Read everything again: hash every model file.")
@click.option("--diff/--no-diff", default=True, show_default=True, help="Show what changes inside files.")
@click.option("--detailed-exitcode", is_flag=True, help="Exit 2 when something would change, 0 when nothing.")
@click.option(
    "--out",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Save the plan; `provision apply FILE` then does that and nothing else.",
)
@click.pass_context
def command(
    ctx: click.Context,
    chosen: options.Chosen,
    way: options.Way,
    output: options.Output,
    deep: bool,
    diff: bool,
    detailed_exitcode: bool,
    out: Path | None,
) -> None:
    """Show what `apply` would change on each host, and change nothing.

    Exit code 0, or 1 when a host could not be inspected. With --detailed-exitcode 2 means that something
    would change, and nothing else does.
    """
    from provision.cli import exit_code
    from provision.project.remembered import load
    from provision.show.items import noted

    project = load(chosen.selection())
    rollout = way.rollout(project)
    writer = output.writer(project, diffs=diff)
    for note in noted(project):
        writer.take(note)
    summary = rollout.inspect(writer, deep=deep)
    if out is not None:
        _save(out, project, summary)
    differs = bool(summary.differing or summary.orphaned)
    ctx.exit(CHANGES if detailed_exitcode and summary.ok and differs else exit_code(summary))


def _save(out: Path, project: Project, summary: Summary) -> None:
    from provision.project.saved import save

    if not summary.ok:
        click.echo(f"{out} is not written: not every host could be inspected", err=True)
        return
    save(out, project, summary.digests)
    click.echo(f"saved; `provision apply {out}` does this and nothing else", err=True)
