"""`provision inventory`."""

from __future__ import annotations

from pathlib import Path

import click

from provision.cli import options


@click.command("inventory")
@options.inventory
@options.extra
@options.limit
@options.output
@click.option("--host", "name", metavar="HOST", help="Show this host's variables and where each came from.")
def command(
    inventories: tuple[Path, ...], extra: tuple[str, ...], limit: str | None, output: str, name: str | None
) -> None:
    """List hosts and groups, or with --host one host's variables and where each value came from."""
    import json

    from provision.config.inventory import load_inventories
    from provision.show.inventory import describe, overview, overview_line, settings

    inventory = load_inventories(list(inventories) or None, Path(), options.variables(extra))
    if name is None:
        for host in inventory.select("all" if limit is None else limit):
            row = {"version": 1, "event": "host", **overview(host)}
            click.echo(json.dumps(row, ensure_ascii=False) if output == "json" else overview_line(host))
        return
    host = inventory.host(name)
    found = describe(host)
    if output == "json":
        click.echo(json.dumps({"version": 1, "event": "host", **found}, ensure_ascii=False, default=str))
        return
    click.echo(overview_line(host))
    for key, value in settings(host).items():
        click.echo(f"  {key}: {_yaml(value)}")
    for variable in found["variables"]:
        click.echo(f"  {variable['name']} = {_yaml(variable['value'])}  from {variable['origin']}")
        for other in variable["overrides"]:
            click.echo(f"      over {_yaml(other['value'])}  from {other['origin']}")


def _yaml(value: object) -> str:
    import json

    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
