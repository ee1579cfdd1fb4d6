"""`provision logs`."""

from __future__ import annotations

import click

from provision.cli import options
from provision.cli.serving import serving


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
    from provision.wire.requests import Logs

    project = serving(call.project(), service)
    summary = call.rollout(project).run(Logs(lines=lines, follow=follow), call.writer(project))
    return 0 if follow and summary.cancelled else summary.exit_code
