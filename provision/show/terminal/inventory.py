"""Hosts, and where their settings and variables come from."""

from __future__ import annotations

import json
from collections.abc import Iterator

from provision.config.hosts import Host
from provision.config.inventory import Explained, explain, explain_settings
from provision.show.items import Item
from provision.show.listed import Listed
from provision.show.terminal.findings import sentence
from provision.show.terminal.screen import Screen


class Inventory(Screen):
    """A line for each host; of a single one everything."""

    def lines(self, item: Item) -> Iterator[str]:
        """Return the lines of a host."""
        assert isinstance(item, Listed)
        yield _row(item.host)
        if not item.whole:
            return
        origins = {each.name: each for each in explain_settings(item.host)}
        for key, value in item.settings().items():
            yield from _origin(f"{key}: {_yaml(value)}", origins.get(key))
        for variable in explain(item.host):
            yield from _origin(f"{variable.name} = {_yaml(variable.value)}", variable)
        for note in item.host.notes:
            yield f"  note: {sentence(note)}"


def _row(host: Host) -> str:
    where = host.address or host.container or ""
    login = f"{host.user}@{where}" if host.user and where else where
    groups = f"  [{', '.join(host.groups)}]" if host.groups else ""
    root = "  become" if host.become else ""
    return f"{host.name}  {host.connection}{f' {login}' if login else ''}{root}{groups}"


def _origin(text: str, explained: Explained | None) -> Iterator[str]:
    """Return a setting or a variable, with where it comes from and what it overrides."""
    yield f"  {text}" + (f"  from {explained.origin}" if explained else "")
    for value, origin in explained.overridden if explained else ():
        yield f"      over {_yaml(value)}  from {origin}"


def _yaml(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
