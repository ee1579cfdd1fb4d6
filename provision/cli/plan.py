"""`provision plan`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from provision.cli import options

if TYPE_CHECKING:
    from provision.project.project import Project, Selection
    from provision.show.report import Report

CHANGES = 2


@click.command("plan")
@options.selection
@options.connection
@options.output
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
    output: str,
    deep: bool,
    diff: bool,
    detailed_exitcode: bool,
    out: Path | None,
) -> None:
    """Show what `apply` would change on each host, and change nothing.

    Exit code 0, or 1 when a host could not be looked at. With --detailed-exitcode 2 means that something
    would change, and nothing else does.
    """
    from provision.cli.running import Requests, exit_code
    from provision.project.remembered import load
    from provision.show.planview import plan_view
    from provision.show.report import Report

    selection = chosen.selection()
    project = load(selection)
    report = Report(project.host_names)
    asked = {"deep": deep, "playbooks": project.playbook_names, "partial": selection.partial}
    summary = Requests(project, way).run("inspect", plan_view(report, output, diff, project), asked)
    code = exit_code(summary)
    if out is not None:
        _save(out, selection, project, report, complete=code == 0)
    if (
        code == 0
        and detailed_exitcode
        and any(host.changes or host.orphans for host in report.hosts.values())
    ):
        code = CHANGES
    ctx.exit(code)


def _save(out: Path, selection: Selection, project: Project, report: Report, complete: bool) -> None:
    from provision.project.saved import save

    if not complete:
        click.echo(f"{out} is not written: not every host could be looked at", err=True)
        return
    save(out, selection, project, report.digests)
    click.echo(f"saved; `provision apply {out}` does this and nothing else", err=True)
