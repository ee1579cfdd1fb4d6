"""`provision init`."""

from __future__ import annotations

from pathlib import Path

import click

SCHEMAS = ("playbook", "inventory")


@click.command("init")
@click.argument("directory", type=click.Path(path_type=Path, file_okay=False), default=Path())
def command(directory: Path) -> None:
    """Write a commented inventory and playbook to DIRECTORY (default: here), which validate as they are.

    Never overwrites a file.
    """
    import json
    from importlib.resources import files

    from provision.config.schema import schema

    texts = {
        name: files("provision.skeleton").joinpath(name).read_text(encoding="utf-8")
        for name in ("inventories/hosts.yml", "playbooks/models.yml")
    }
    for kind in SCHEMAS:
        texts[f"schema/{kind}.json"] = json.dumps(schema(kind), indent=2, ensure_ascii=False) + "\n"
    taken = [name for name in texts if (directory / name).exists()]
    if taken:
        raise click.ClickException(f"{directory / taken[0]} is there already; init overwrites nothing")
    for name, text in texts.items():
        path = directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        click.echo(f"wrote {path}")
    click.echo(
        "next: put your hosts into inventories/hosts.yml, then `provision validate` and `provision plan`"
    )
