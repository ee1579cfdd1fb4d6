"""`provision logs`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from provision.cli import options

if TYPE_CHECKING:
    from provision.project.project import Project


@click.command("logs")
@click.argument("service")
@options.selection
@options.connection
@options.output
@click.option("-f", "--follow", is_flag=True, help="Go on printing as the log grows, until ^C.")
@click.option(
    "-n", "--lines", type=options.Whole(0), metavar="N", default=50, show_default=True, help="Last lines."
)
@click.pass_context
def command(
    ctx: click.Context,
    service: str,
    chosen: options.Chosen,
    way: options.Way,
    output: str,
    follow: bool,
    lines: int,
) -> None:
    """Print the last lines of SERVICE's log on every host that has it: the journal, or the log file."""
    from provision.cli import exit_code
    from provision.project.remembered import load
    from provision.show.logview import log_view

    project = load(chosen.selection())
    hosts = project.fleet.serving(service).catalogs
    if not hosts:
        raise click.UsageError(f"no service {service!r} in the playbooks{_meant(service, project)}")
    view = log_view(output, many=len(hosts) > 1)
    summary = way.rollout(project).logs(view, service, lines=lines, follow=follow)
    ctx.exit(0 if follow and summary.cancelled else exit_code(summary))


def _meant(service: str, project: Project) -> str:
    from difflib import get_close_matches

    names = sorted({known.name for known in project.fleet.endpoints})
    near = get_close_matches(service, names, n=1)
    return f"; did you mean `{near[0]}`?" if near else f"; they have {', '.join(names) or 'none'}"
