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
@options.formats("logs")
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
    output: options.Output,
    follow: bool,
    lines: int,
) -> None:
    """Print the last lines of SERVICE's log on every host that has it: the journal, or the log file."""
    from dataclasses import replace

    from provision.cli import exit_code
    from provision.project.remembered import load

    project = load(chosen.selection())
    serving = replace(project, fleet=project.fleet.serving(service))
    if not serving.host_names:
        raise click.UsageError(f"no service {service!r} in the playbooks{_meant(service, project)}")
    summary = way.rollout(serving).logs(output.writer(serving), lines=lines, follow=follow)
    ctx.exit(0 if follow and summary.cancelled else exit_code(summary))


def _meant(service: str, project: Project) -> str:
    from provision.config.problems import closest

    names = sorted({known.name for known in project.fleet.endpoints})
    near = closest(service, names)
    return f"; did you mean `{near}`?" if near else f"; they have {', '.join(names) or 'none'}"
