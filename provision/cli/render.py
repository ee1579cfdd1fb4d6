"""`provision render`."""

from __future__ import annotations

from pathlib import Path

import click

from provision.cli import options


@click.command("render")
@options.shared("render", options.SELECTION, output=False)
@click.option(
    "--to",
    "target",
    type=click.Path(path_type=Path, file_okay=False),
    help="Directory to write to, one folder per host. Default: print everything.",
)
def command(
    call: options.Call,
    target: Path | None,
) -> None:
    """Write every script, unit and env file that PLAYBOOKS put on each host, byte for byte what apply writes.

    Secrets are shown as ***. Needs no host, no secret and no network.
    """
    from provision.catalog.render import render_tree
    from provision.project.load import load
    from provision.show.words import count

    project = load(call.selection())
    files = 0
    for catalog in project.fleet.catalogs.values():
        for path, (text, mode) in render_tree(catalog).items():
            files += 1
            if target is None:
                click.echo(f"# {catalog.host.name}: {path} ({mode})\n{text}")
                continue
            place = target / catalog.host.name / path.lstrip("/")
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_text(text, encoding="utf-8", newline="")
            place.chmod(int(mode, 8))
    if target is not None:
        click.echo(
            f"{count(files, 'file')} for {count(len(project.fleet.catalogs), 'host')} written below {target}"
        )
