"""`provision lock`."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING

import click

from provision.cli import options
from provision.cli.plan import CHANGES

if TYPE_CHECKING:
    from provision.project.project import Project


@click.command("lock")
@options.shared("lock", options.HOSTS)
@click.option(
    "--update",
    "names",
    multiple=True,
    metavar="NAME",
    help="Only this environment, model or service with an image, or `packages`; the rest of the lock stays. "
    "May be repeated.",
)
@click.option("--check", is_flag=True, help="Write nothing; exit 2 when a lock would change.")
def command(call: options.Call, names: tuple[str, ...], check: bool) -> int:
    """Write what PLAYBOOKS have come to on their hosts into lock files beside them.

    A lock has the exact versions and hashes of packages, models and images. With it, `apply` installs exactly
    that, or fails before anything is changed. Exit code 0 when it is written or need not be, 1 when a host
    does not answer, or is not as declared.
    """
    from provision.cli.taking import Taking
    from provision.lock.gathered import Gathered, updated
    from provision.lock.lockfile import load, path_of, save
    from provision.show.items import Locked
    from provision.wire.requests import Take

    project = call.project()
    _require_known(project, names)
    writer = call.writer(project)
    with closing(writer):
        taking = Taking(writer)
        summary = call.rollout(project).run(Take(), taking)
        if not summary.ok or any(taken.finding for taken in taking.taken):
            return summary.exit_code or 1
        gathered = Gathered(project.fleet)
        for taken in taking.taken:
            gathered.take(taken)
        partial = call.limit is not None or project.selection.partial
        differs = False
        for playbook, lock in gathered.locks(project.playbooks).items():
            path = path_of(project.playbooks[playbook])
            before = load(path)
            after = updated(before, lock, names, partial)
            changed = after != before
            differs = differs or changed
            if changed and not check:
                save(path, after)
            writer.take(Locked(str(path), before, after, changed and not check))
    return CHANGES if check and differs else 0


def _require_known(project: Project, names: tuple[str, ...]) -> None:
    """Raise `ConfigError` for a name that nothing of a lock has."""
    from provision.config.problems import did_you_mean, failure, quoted
    from provision.lock.entries import PACKAGES

    parts = [each.id.partition(":") for each in project.fleet.resources]
    kinds = ("environment", "model", "container")
    known = {PACKAGES, *(name for kind, _, name in parts if kind in kinds)}
    for name in names:
        if name not in known:
            hint = did_you_mean(name, known)
            raise failure("unknown-resource", f"--update {quoted(name)}: nothing has this name", hint=hint)
