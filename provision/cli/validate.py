"""`provision validate`."""

from __future__ import annotations

import click

from provision.cli import options


@click.command("validate")
@options.selection
@options.output_of_findings
def command(
    chosen: options.Chosen,
    output: str,
) -> None:
    """Check inventories and PLAYBOOKS (all of playbooks/ by default).

    Needs no host, no secret and no network. A secret that is here already, in a variable or file, is checked.
    Every problem is printed as file:line:col: what is wrong; what to do. Exit code 0 when all is well, 1
    otherwise.
    """
    import json

    from provision.config.problems import ConfigError
    from provision.project.load import load
    from provision.rollout.keyring import foresee
    from provision.show.findings import Located, sentence
    from provision.show.words import count
    from provision.show.writers import findings_writer

    project = load(chosen.selection())
    problems = foresee(project)
    if problems:
        raise ConfigError(problems)
    fleet = project.fleet
    hosts, services = len(fleet.catalogs), len(list(fleet.endpoints))
    resources = len(list(fleet.resources))
    if output != "text":
        for line in findings_writer(output)([Located(note, None, host) for host, note in project.findings()]):
            click.echo(line)
    if output == "json":
        names = [str(path) for path in project.playbooks.values()]
        found = {"playbooks": names, "hosts": hosts, "services": services, "resources": resources}
        click.echo(json.dumps({"version": 1, "event": "valid", **found}))
    if output != "text":
        return
    for host, note in project.findings():
        about = f"{host}: " if host else ""
        click.echo(f"note: {about}{sentence(note)}", err=True)
    if not resources:
        click.echo("note: nothing is declared; a play has services, packages, files, and more", err=True)
    what = f"{count(len(project.playbooks), 'playbook')}, {count(hosts, 'host')}"
    click.echo(f"valid: {what}, {count(services, 'service')}, {count(resources, 'resource')}")
