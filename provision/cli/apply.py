"""`provision apply`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from provision.cli import options
from provision.cli.asking import agreed, require_terminal

if TYPE_CHECKING:
    from provision.cli.running import Requests
    from provision.project.project import Project, Selection
    from provision.show.report import Report


@click.command("apply")
@options.selection
@options.connection
@options.output
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
    output: str,
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
    from provision.cli.running import Requests, exit_code
    from provision.project.project import Selection, is_saved
    from provision.project.remembered import load
    from provision.show.applyview import apply_view
    from provision.show.report import Report

    selection = chosen.selection()
    digests: dict[str, str] = {}
    if len(selection.playbooks) == 1 and is_saved(selection.playbooks[0]):
        plan = selection.playbooks[0]
        if selection != Selection((plan,)):
            raise click.UsageError(
                "a saved plan says itself what to work on; leave out -i, -e, --limit, --tags"
            )
        from provision.project.saved import restore

        selection, digests, project = restore(plan)
    else:
        project = load(selection)
    if not yes:
        # What is wrong with the input comes first: a newcomer would find it out at the second try only.
        require_terminal("apply", output)
    requests = Requests(project, way)
    if not yes:
        shown = _show(requests, project, selection, diff, deep)
        if _worth_asking(shown, prune) and not agreed("Apply this?"):
            click.echo("nothing was changed")
            ctx.exit(1)
        # What was agreed to is what is done: a host that has moved on since refuses.
        digests = {
            name: host.done.digest for name, host in shown.hosts.items() if host.done and host.done.digest
        }
    report = Report(project.host_names)
    asked = {
        "deep": deep,
        "prune": prune,
        "verify": verify,
        "rollback": rollback,
        "playbooks": project.playbook_names,
        "partial": selection.partial,
    }
    per_host = {host: {"digest": digest} for host, digest in digests.items()}
    summary = requests.run("apply", apply_view(report, output, project), asked, per_host=per_host)
    ctx.exit(exit_code(summary))


def _show(requests: Requests, project: Project, selection: Selection, diff: bool, deep: bool) -> Report:
    """Show the plan and return what it found."""
    from provision.show.planview import plan_view
    from provision.show.report import Report

    report = Report(project.host_names)
    asked = {"deep": deep, "playbooks": project.playbook_names, "partial": selection.partial}
    requests.run("inspect", plan_view(report, "text", diff, project), asked)
    return report


def _worth_asking(report: Report, prune: bool) -> bool:
    orphans = prune and any(host.orphans for host in report.hosts.values())
    return not report.ok or orphans or any(host.changes for host in report.hosts.values())
