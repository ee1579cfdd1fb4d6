"""`provision inventory`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from provision.cli import options


@click.command("inventory")
@options.inventory
@options.extra
@options.limit
@options.output
@click.option(
    "--host",
    "name",
    metavar="HOST",
    help="Show this host's settings and variables, and where each came from.",
)
def command(
    inventories: tuple[Path, ...], extra: tuple[str, ...], limit: str | None, output: str, name: str | None
) -> None:
    """List hosts and groups, or with --host one host's settings and variables and where each came from."""
    import json

    from provision.config.inventory import load_inventories
    from provision.show.findings import sentence
    from provision.show.inventory import describe, noted, overview, overview_line, settings

    inventory = load_inventories(list(inventories) or None, Path(), options.variables(extra))
    for note in inventory.notes:
        click.echo(f"note: {sentence(note)}", err=True)
    if name is None:
        hosts = inventory.select("all" if limit is None else limit)
        for host in hosts:
            row = {"version": 1, "event": "host", **overview(host)}
            click.echo(json.dumps(row, ensure_ascii=False) if output == "json" else overview_line(host))
        for note, names in noted(hosts):
            click.echo(f"note: {names}: {sentence(note)}", err=True)
        return
    host = inventory.host(name)
    found = describe(host)
    if output == "json":
        click.echo(json.dumps({"version": 1, "event": "host", **found}, ensure_ascii=False, default=str))
        return
    click.echo(overview_line(host))
    origins = {each["name"]: each for each in found["settings"]}
    for key, value in settings(host).items():
        _line(f"{key}: {_yaml(value)}", origins.get(key))
    for variable in found["variables"]:
        _line(f"{variable['name']} = {_yaml(variable['value'])}", variable)
    for note in host.notes:
        click.echo(f"  note: {sentence(note)}")


def _line(text: str, explained: dict[str, Any] | None) -> None:
    """Print a setting or a variable, with where it comes from and what it overrides."""
    if explained is None:
        click.echo(f"  {text}")
        return
    click.echo(f"  {text}  from {explained['origin']}")
    for other in explained["overrides"]:
        click.echo(f"      over {_yaml(other['value'])}  from {other['origin']}")


def _yaml(value: object) -> str:
    import json

    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
