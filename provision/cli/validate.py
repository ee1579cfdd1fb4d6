"""`provision validate`."""

from __future__ import annotations

import click

from provision.cli import options


@click.command("validate")
@options.shared("validate", (*options.SELECTION, options.LOCK))
def command(
    call: options.Call,
) -> None:
    """Check inventories and PLAYBOOKS (all of playbooks/ by default).

    Needs no host, no secret and no network. A secret that is here already, in a variable or file, is checked.
    Every problem is printed as file:line:col: what is wrong; what to do. Exit code 0 when all is well, 1
    otherwise.
    """
    from provision.config.problems import ConfigError, Problem
    from provision.foresight.stated import foreseen
    from provision.project.load import load
    from provision.rollout.keyring import foresee
    from provision.show.items import Located, Valid, noted
    from provision.wire.finding import ERROR

    project = load(call.selection())
    judged = foreseen(project.fleet.catalogs)
    problems = foresee(project)
    problems += (Problem.of(each) for each in judged if each.severity == ERROR)
    if problems:
        raise ConfigError(problems)
    playbooks = [str(path) for path in project.playbooks.values()]
    fleet = project.fleet
    declared = Valid(playbooks, len(fleet.catalogs), len(list(fleet.endpoints)), len(list(fleet.resources)))
    doubts = [Located.of(each) for each in judged]
    call.tell([*noted(project), *doubts, declared])
