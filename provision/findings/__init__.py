"""The catalogue of codes: each finding has one, and it stays the same from release to release.

A code names a class of faults that a person would look up, in lower-case words with hyphens. The YAML files
in this directory have an entry for each; `provision explain` and docs/findings.md show them. Tests compare
the entries with the codes in use, and their examples with what is really printed.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path

import yaml

AREAS = {
    "files": "Files",
    "keys": "Keys and values",
    "references": "Names and references",
    "variables": "Variables and templates",
    "secrets": "Secrets",
    "hosts": "Hosts and inventories",
    "packages": "Packages and environments",
    "locks": "Locks",
    "models": "Models",
    "services": "Services",
    "gpus": "GPUs",
    "preflight": "What is checked before a change",
    "memory": "Memory of GPUs",
    "servers": "Servers that do not start or answer",
    "gateways": "Gateways",
    "connection": "The way to a host",
    "host": "Files, users and commands on a host",
    "commands": "The command line",
}
"""The files of the catalogue and their titles, in the order in which they are listed."""


@dataclass(frozen=True)
class Entry:
    """The explanation of one code.

    - `title`: a few words
    - `cause`: why it happens
    - `way_out`: what to do
    - `example`: a line with the code, as it is printed
    - `playbook`, `inventory`: an input that gives exactly this example, if YAML is the cause
    - `foreseen`: it is told before services start or stop, so that `--ignore` can name it
    """

    title: str
    cause: str
    way_out: str
    example: str
    playbook: str | None = None
    inventory: str | None = None
    foreseen: bool = False


@cache
def areas() -> dict[str, dict[str, Entry]]:
    """Return the entries by code, area by area."""
    here = Path(__file__).parent
    read = {title: yaml.safe_load((here / f"{name}.yml").read_bytes()) for name, title in AREAS.items()}
    return {title: {code: Entry(**entry) for code, entry in data.items()} for title, data in read.items()}


@cache
def catalogue() -> dict[str, Entry]:
    """Return all entries by code."""
    return {code: entry for entries in areas().values() for code, entry in entries.items()}


def foreseen() -> list[str]:
    """Return the codes of what is told before services start or stop."""
    return [code for code, entry in catalogue().items() if entry.foreseen]
