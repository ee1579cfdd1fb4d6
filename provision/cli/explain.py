"""`provision explain`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from provision.cli import options

if TYPE_CHECKING:
    from provision.findings import Entry


@click.command("explain")
@click.argument("code", required=False)
@options.output
def command(code: str | None, output: str) -> None:
    """Say what CODE means: the cause, an example and the way out.

    A code stands in brackets at the end of an error, warning or note, such as [unknown-key]. Without CODE all
    codes are listed.
    """
    import json
    from dataclasses import asdict

    from provision.findings import areas, catalogue
    from provision.show.explain import contents, explained

    chosen = catalogue() if code is None else {code.strip("[]"): _entry(code.strip("[]"))}
    if output == "json":
        for name, entry in chosen.items():
            click.echo(json.dumps({"version": 1, "event": "code", "code": name, **asdict(entry)}))
        return
    lines = contents(areas()) if code is None else explained(*next(iter(chosen.items())))
    for line in lines:
        click.echo(line)


def _entry(code: str) -> Entry:
    from provision.config.problems import did_you_mean
    from provision.findings import catalogue

    if code not in catalogue():
        near = did_you_mean(code, catalogue()) or "`provision explain` lists all codes"
        raise click.UsageError(f"there is no code {code!r}; {near}")
    return catalogue()[code]
