"""`provision verify`."""

from __future__ import annotations

import click

from provision.cli import options


@click.command("verify")
@options.shared("verify", options.HOSTS)
def command(
    call: options.Call,
) -> int:
    """Run every check of every service in PLAYBOOKS; change nothing.

    Exit code 0 when all pass, 1 otherwise.
    """
    from provision.wire.requests import Verify

    project = call.project()
    return call.rollout(project).run(Verify(), call.writer(project)).exit_code
