"""`provision plan`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from provision.cli import options

if TYPE_CHECKING:
    from provision.project.project import Project
    from provision.rollout.rollout import Rollout
    from provision.rollout.summary import Summary

CHANGES = 2


@click.command("plan")
@options.shared("plan", options.CONVERGING)
@click.option("--deep", is_flag=True, help="Read everything again: hash every model file.")
@click.option("--diff/--no-diff", default=True, show_default=True, help="Show what changes inside files.")
@click.option("--detailed-exitcode", is_flag=True, help="Exit 2 when something would change, 0 when nothing.")
@click.option(
    "--out",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Save the plan; `provision apply FILE` then does that and nothing else.",
)
def command(
    call: options.Call,
    deep: bool,
    diff: bool,
    detailed_exitcode: bool,
    out: Path | None,
) -> int:
    """Show what `apply` would change on each host, and change nothing.

    Exit code 0, or 1 when a host could not be inspected or it is foreseen that a service will not run. With
    --detailed-exitcode 2 means that something would change, and nothing else does.
    """
    project = call.project()
    summary = inspect(call, project, call.rollout(project), deep=deep, diff=diff)
    if out is not None:
        _save(out, call, project, summary)
    differs = bool(summary.differing or summary.orphaned)
    return CHANGES if detailed_exitcode and summary.ok and differs else summary.exit_code


def inspect(call: options.Call, project: Project, rollout: Rollout, *, deep: bool, diff: bool) -> Summary:
    """Show what an apply would change."""
    from provision.show.items import Waves, noted
    from provision.wire.requests import Inspect

    writer = call.writer(project, diffs=diff)
    for note in noted(project):
        writer.take(note)
    if len(rollout.order.hosts) > 1:
        writer.take(Waves(rollout.order))
    asked = Inspect(
        playbooks=project.playbook_names,
        partial=project.selection.partial,
        deep=deep,
        ignore=list(call.ignore),
        end_left_over=call.end_left_over,
    )
    return rollout.run(asked, writer)


def _save(out: Path, call: options.Call, project: Project, summary: Summary) -> None:
    from provision.project.saved import Saved, save

    if not summary.ok:
        why = "an error is foreseen" if summary.doomed else "not every host could be inspected"
        click.echo(f"{out} is not written: {why}", err=True)
        return
    save(out, Saved(project, summary.digests, call.ignore, call.end_left_over, call.serial))
    click.echo(f"saved; `provision apply {out}` does this and nothing else", err=True)
