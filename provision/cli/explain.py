"""`provision explain`."""

from __future__ import annotations

import click

from provision.cli import options


@click.command("explain")
@click.argument("code", required=False)
@options.shared("explain")
def command(call: options.Call, code: str | None) -> None:
    """Say what CODE means: the cause, an example and the way out.

    A code stands in brackets at the end of an error, warning or note, such as [unknown-key]. Without CODE all
    codes are listed.
    """
    from provision.config.problems import did_you_mean
    from provision.findings import areas
    from provision.show.items import Code

    codes = {
        name: Code(name, entry, area) for area, entries in areas().items() for name, entry in entries.items()
    }
    if code is not None:
        name = code.strip("[]")
        if name not in codes:
            near = did_you_mean(name, codes) or "`provision explain` lists all codes"
            raise click.UsageError(f"there is no code {name!r}; {near}")
        codes = {name: codes[name]}
    call.tell(codes.values())
