"""`provision logs`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from provision.cli import options

if TYPE_CHECKING:
    from provision.project.project import Project


@click.command("logs")
@click.argument("service")
@options.shared("logs", options.HOSTS)
@click.option("-f", "--follow", is_flag=True, help="Go on printing as the log grows, until ^C.")
@click.option(
    "-n", "--lines", type=options.Whole(0), metavar="N", default=50, show_default=True, help="Last lines."
)
def command(
    call: options.Call,
    service: str,
    follow: bool,
    lines: int,
) -> int:
    """Print the last lines of SERVICE's log on every host that has it: the journal, or the log file."""
    from dataclasses import replace

    from provision.wire.requests import Logs

    project = call.project()
    serving = replace(project, fleet=project.fleet.serving(service))
    if not serving.host_names:
        raise click.UsageError(f"no service {service!r} in the playbooks{_meant(service, project)}")
    summary = call.rollout(serving).run(Logs(lines=lines, follow=follow), call.writer(serving))
    return 0 if follow and summary.cancelled else summary.exit_code


def _meant(service: str, project: Project) -> str:
    from provision.config.problems import closest

    names = sorted({known.name for known in project.fleet.endpoints})
    near = closest(service, names)
    return f"; did you mean `{near}`?" if near else f"; they have {', '.join(names) or 'none'}"
