"""What still needs a directory: a process, a file of a service, or what a service can go back to."""

from __future__ import annotations

import json
import os
import re

from provision.host.services import processes
from provision.host.state import durable
from provision.host.state.ledger import Ledger
from provision.host.state.revisions import Revisions

FORMER, REVISIONS = "former", "revisions"
"""Parts of our state that say what a service ran with."""


class Uses:
    """What needs a directory on this host.

    Args:
        state: provision's directory on the host.
        ledger: names the files of all services, also of playbooks that are not applied now.
    """

    def __init__(self, state: str, ledger: Ledger) -> None:
        self._state = state
        self._ledger = ledger
        self._texts: list[str] | None = None

    def of(self, path: str) -> bool:
        """Whether anything needs this directory, or something in it."""
        if self._texts is None:
            self._texts = [*self._files(), *self._notes()]
        named = re.compile(rf"{re.escape(path)}(?![\w.-])")
        return any(map(named.search, self._texts)) or _runs_in(named)

    def _files(self) -> list[str]:
        """Return the files of services, where everything else is, and what the ledger knows of containers."""
        entries = self._ledger.entries.values()
        files = [_text(entry["spec"]["path"]) for entry in entries if entry["type"] == "file"]
        places = [entry["spec"].get("path") or "" for entry in entries]
        mounted = [source for entry in entries for source in entry.get("kept", {}).get("sources", ())]
        return [*files, *places, *mounted]

    def _notes(self) -> list[str]:
        former = [durable.read(path) or "" for path in self._in(FORMER)]
        # The history only tells of directories, and nobody can go back to it.
        kept = (Revisions(self._state, os.path.basename(path)).kept() for path in self._in(REVISIONS))
        return [*former, *map(json.dumps, kept)]

    def _in(self, name: str) -> list[str]:
        directory = os.path.join(self._state, name)
        names = os.listdir(directory) if os.path.isdir(directory) else []
        return [os.path.join(directory, each) for each in names]


def _text(path: str) -> str:
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read(1 << 20)
    except OSError:
        return ""


def _runs_in(named: re.Pattern[str]) -> bool:
    """Whether a process that we may look at was started with it, or has a file of it in its memory."""
    return any(
        named.search(text)
        for pid in processes.table()
        for text in (
            "\0".join(processes.arguments(pid)),
            "\0".join(processes.environment(pid)),
            processes.mapped(pid),
        )
    )
