"""`provision inventory`."""

from __future__ import annotations

from pathlib import Path

import click

from provision.cli import options


@click.command("inventory")
@options.shared("inventory", options.INVENTORY)
@click.option(
    "--host",
    "name",
    metavar="HOST",
    help="Show this host's settings and variables, and where each came from.",
)
def command(call: options.Call, name: str | None) -> None:
    """List hosts and groups, or with --host one host's settings and variables and where each came from."""
    from provision.config.inventory import load_inventories
    from provision.config.problems import unrepeated
    from provision.show.listed import Listed
    from provision.show.terminal.findings import note
    from provision.show.words import listing

    inventory = load_inventories(list(call.inventories) or None, Path(), call.variables())
    for finding in inventory.notes:
        note(finding)
    if name is None:
        hosts = inventory.select("all" if call.limit is None else call.limit)
    else:
        hosts = [inventory.host(name)]
    call.tell(Listed(host, whole=name is not None) for host in hosts)
    if name is None:
        for finding in unrepeated(finding for host in hosts for finding in host.notes):
            note(finding, listing((host.name for host in hosts if finding in host.notes), 4))
