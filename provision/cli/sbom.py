"""`provision sbom`."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from provision.cli import options

if TYPE_CHECKING:
    from provision.wire.events import Event


@click.command("sbom")
@options.shared("sbom", options.HOSTS, output=False)
@click.option("--host", "name", metavar="HOST", help="Only this host.")
@click.option(
    "--to",
    "target",
    type=click.Path(path_type=Path, file_okay=False),
    help="Directory to write HOST.cdx.json to. Default: print the document of one host.",
)
def command(call: options.Call, name: str | None, target: Path | None) -> int:
    """Write a bill of materials (SBOM, CycloneDX 1.6) of each host: what PLAYBOOKS have come to there.

    It has the Python packages, the declared packages of the distribution, the models with the sha256 of each
    file, and the images, as `lock` has them. Exit code 0 when each host answered, 1 otherwise.
    """
    from provision.cli.taking import Taking
    from provision.lock.sbom import bom
    from provision.wire.requests import Take

    if name is not None and call.limit is not None:
        raise click.UsageError("--host and --limit both say which hosts; leave one out")
    call = call._replace(limit=name) if name is not None else call
    project = call.project()
    if target is None and len(project.host_names) > 1:
        raise click.UsageError(f"{len(project.host_names)} hosts have a document each; add --to or --host")
    taking = Taking(_Troubles())
    summary = call.rollout(project).run(Take(), taking)
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    for host, catalog in project.fleet.catalogs.items():
        if summary.outcomes.get(host) != "ok":
            continue
        found = [taken for taken in taking.taken if taken.host == host]
        document = json.dumps(bom(catalog, found, taking.facts.get(host), now), indent=2, ensure_ascii=False)
        if target is None:
            click.echo(document)
            continue
        target.mkdir(parents=True, exist_ok=True)
        place = target / f"{host}.cdx.json"
        place.write_text(document + "\n", encoding="utf-8")
        click.echo(str(place))
    return summary.exit_code


class _Troubles:
    """Prints what is wrong to standard error, where no document is."""

    def take(self, event: Event) -> None:
        """Take one event."""
        from provision.show.items import located
        from provision.show.terminal.findings import note
        from provision.wire.taken import Taken

        if isinstance(event, Taken) and event.finding:
            note(event.trouble, event.host)
        for each in located(event):
            note(each.finding, each.host)
