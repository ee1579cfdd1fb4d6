"""`provision apply`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import click

from provision.cli import options
from provision.cli.asking import agreed, require_terminal

if TYPE_CHECKING:
    from provision.project.project import Project


@click.command("apply")
@options.shared("apply", options.CONVERGING)
@options.WAIT
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
def command(
    call: options.Call,
    wait: float,
    yes: bool,
    prune: bool,
    verify: bool,
    rollback: bool,
    deep: bool,
    diff: bool,
) -> int:
    """Converge hosts to PLAYBOOKS, or to a saved plan, then prove that every changed service answers.

    On a terminal the plan is shown first and a question asked. Hosts with services change in waves, one
    first; after a failure no further one is changed. Exit code 0 when every host is as declared, 1 if not.
    """
    from provision.wire.requests import Apply

    call, project, digests = _load(call)
    if not yes:
        # After the input was read: its errors come first.
        require_terminal(call)
    rollout = call.rollout(project)
    # Before the question: it fails where a report cannot be written.
    writer = call.writer(project)
    if not yes:
        # Here, as a run that does not ask would make all options of another verb.
        from provision.cli.plan import inspect

        plan = call._replace(verb="plan", files={})
        found = inspect(plan, project, rollout, deep=deep, diff=diff)
        # A host of which an error is foreseen would refuse.
        possible = found.differing - found.doomed
        hopeless = bool(found.doomed) and not possible
        worth_asking = not found.ok or possible or (prune and found.orphaned)
        if hopeless or (worth_asking and not agreed("Apply this?")):
            click.echo("nothing was changed")
            return 1
        # Only what was agreed to is done: a host that has changed since refuses.
        digests = found.digests
    asked = Apply(
        playbooks=project.playbook_names,
        partial=project.selection.partial,
        deep=deep,
        prune=prune,
        verify=verify,
        rollback=rollback,
        ignore=list(call.ignore),
        end_left_over=call.end_left_over,
        patience=wait,
    )
    return rollout.run(asked, writer, digests).exit_code


def _load(call: options.Call) -> tuple[options.Call, Project, Mapping[str, str]]:
    """Return the call, what to work on, and the digests of its hosts when that is a saved plan.

    A saved plan also brings the options that it was made with.
    """
    from provision.project.project import Selection, is_saved

    if len(call.playbooks) != 1 or not is_saved(call.playbooks[0]):
        return call, call.project(), {}
    (plan,) = call.playbooks
    if call.selection() != Selection((plan,), locked=True) or any(
        (call.ignore, call.end_left_over, call.serial)
    ):
        named = "-i, -e, --limit, --tags, --no-lock, --ignore, --end-left-over, --serial"
        raise click.UsageError(f"a saved plan says itself what to do; leave out {named}")
    from provision.project.saved import restore

    saved = restore(plan)
    call = call._replace(ignore=tuple(saved.ignore), end_left_over=saved.end_left_over, serial=saved.serial)
    return call, saved.project, saved.digests
