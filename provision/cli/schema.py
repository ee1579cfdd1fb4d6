"""`provision schema`."""

from __future__ import annotations

import click


@click.command("schema")
@click.argument("kind", type=click.Choice(["playbook", "inventory"]))
def command(kind: str) -> None:
    """Print the JSON Schema (draft 2020-12) of playbooks or inventories.

    Editors with a YAML language server use it when a file begins with the line
    `# yaml-language-server: $schema=path/to/playbook.json`.
    """
    import json

    from provision.config.schema import schema

    click.echo(json.dumps(schema(kind), indent=2, ensure_ascii=False))
