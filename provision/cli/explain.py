"""`provision explain`."""

from __future__ import annotations

import click

from provision.cli import options


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

    if code is None:
        if output == "json":
            for name, entry in catalogue().items():
                click.echo(json.dumps({"version": 1, "event": "code", "code": name, **asdict(entry)}))
            return
        for line in contents(areas()):
            click.echo(line)
        return
    code = code.strip("[]")
    if code not in catalogue():
        from provision.config.problems import did_you_mean

        near = did_you_mean(code, catalogue()) or "`provision explain` lists all codes"
        raise click.UsageError(f"there is no code {code!r}; {near}")
    entry = catalogue()[code]
    if output == "json":
        click.echo(json.dumps({"version": 1, "event": "code", "code": code, **asdict(entry)}))
        return
    for line in explained(code, entry):
        click.echo(line)
