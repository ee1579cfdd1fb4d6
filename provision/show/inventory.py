"""Hosts and the origin of their variables, as rows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from provision.config.inventory import explain, explain_settings
from provision.config.problems import unrepeated
from provision.show.words import listing
from provision.wire.finding import Finding

if TYPE_CHECKING:
    from provision.config.hosts import Host

SETTINGS = (
    "connection",
    "address",
    "port",
    "user",
    "become",
    "identity_file",
    "ssh_options",
    "python",
    "prefix",
    "engine",
    "container",
    "on",
)
"""What of a host is worth showing when it is set."""


def overview(host: Host) -> dict[str, Any]:
    """Return a host's row in the list of all."""
    return {"name": host.name, **settings(host), "groups": host.groups}


def overview_line(host: Host) -> str:
    """Return a host's row as text."""
    where = host.address or host.container or ""
    login = f"{host.user}@{where}" if host.user and where else where
    groups = f"  [{', '.join(host.groups)}]" if host.groups else ""
    root = "  become" if host.become else ""
    return f"{host.name}  {host.connection}{f' {login}' if login else ''}{root}{groups}"


def settings(host: Host) -> dict[str, Any]:
    """Return how a host is reached and where things go on it."""
    values = {key: getattr(host, key) for key in SETTINGS}
    return {key: value for key, value in values.items() if value not in (None, False, [])}


def describe(host: Host) -> dict[str, Any]:
    """Return everything about a host, each setting and variable with its origin and what it overrides."""
    rows = {
        kind: [
            {
                "name": each.name,
                "value": each.value,
                "origin": each.origin,
                "overrides": [{"value": value, "origin": origin} for value, origin in each.overridden],
            }
            for each in explained
        ]
        for kind, explained in (("settings", explain_settings(host)), ("variables", explain(host)))
    }
    notes = {
        "notes": [note.message for note in host.notes],
        "findings": [note.plain() for note in host.notes],
    }
    return {**overview(host), **rows, **notes}


def noted(hosts: Sequence[Host]) -> list[tuple[Finding, str]]:
    """Return each note once, with the hosts that it is for."""
    notes = unrepeated(note for host in hosts for note in host.notes)
    return [(note, listing((host.name for host in hosts if note in host.notes), 4)) for note in notes]
