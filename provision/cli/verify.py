"""`provision verify`."""

from __future__ import annotations

from pathlib import Path

import click

from provision.cli import options


@click.command("verify")
@options.selection
@options.connection
@options.output
@options.reports
@click.pass_context
def command(
    ctx: click.Context,
    chosen: options.Chosen,
    way: options.Way,
    output: str,
    files: dict[str, Path],
) -> None:
    """Run every check of every service in PLAYBOOKS; change nothing.

    Exit code 0 when all pass, 1 otherwise.
    """
    from provision.cli import exit_code
    from provision.project.remembered import load
    from provision.show.report import Report
    from provision.show.verifyview import verify_view
    from provision.show.writers import with_files

    project = load(chosen.selection())
    view = with_files(verify_view(Report(project.host_names), output), "verify", project.host_names, files)
    ctx.exit(exit_code(way.rollout(project).verify(view)))
