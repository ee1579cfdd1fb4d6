"""Findings as CI systems read them: workflow commands of GitHub, and GitLab's Code Quality report."""

from __future__ import annotations

import json
import os
from collections import Counter
from hashlib import sha256
from pathlib import Path
from typing import Any, TextIO

from provision.show.items import Item, Located, Run, located
from provision.show.writer import Writer
from provision.wire.finding import ERROR, INFO, WARNING

_COMMANDS = {ERROR: "error", WARNING: "warning", INFO: "notice"}
_SEVERITIES = {ERROR: "major", WARNING: "minor", INFO: "info"}


class WorkflowCommands(Writer):
    """A workflow command for each finding, which GitHub shows beside the line of the file."""

    def take(self, item: Item) -> None:
        """Print its findings."""
        for each in located(item):
            self._print(each)

    def _print(self, item: Located) -> None:
        values: dict[str, str | int] = {"title": item.finding.code}
        if item.position:
            path = _relative(item.position.path, "GITHUB_WORKSPACE")
            values = {"file": path, "line": item.position.line, "col": item.position.column, **values}
        properties = ",".join(f"{key}={_property(str(value))}" for key, value in values.items())
        print(f"::{_COMMANDS[item.finding.severity]} {properties}::{_data(item.sentence())}", file=self.out)


class CodeQuality(Writer):
    """One array of all findings; it is empty when there are none."""

    def __init__(self, run: Run, out: TextIO) -> None:
        super().__init__(run, out)
        self._entries: list[dict[str, Any]] = []
        self._seen: Counter[tuple[str, str, str]] = Counter()

    def take(self, item: Item) -> None:
        """Remember its findings."""
        for each in located(item):
            self._remember(each)

    def _remember(self, item: Located) -> None:
        # GitLab wants a path for each entry.
        path = _relative(item.position.path, "CI_PROJECT_DIR") if item.position else "."
        # Without the line, so that a finding stays the same one when lines are added above it.
        key = (item.finding.code, path, item.sentence())
        name = "\0".join([*key, str(self._seen[key])])
        self._seen[key] += 1
        self._entries.append(
            {
                "description": item.sentence(),
                "check_name": item.finding.code,
                "fingerprint": sha256(name.encode("utf-8", "backslashreplace")).hexdigest(),
                "severity": _SEVERITIES[item.finding.severity],
                "location": {"path": path, "lines": {"begin": item.position.line if item.position else 1}},
            }
        )

    def close(self) -> None:
        """Print the array."""
        print(json.dumps(self._entries, ensure_ascii=False, indent=2), file=self.out)


def _relative(path: str, variable: str) -> str:
    """Return a path as seen from the repository, which the environment names in a CI job."""
    root = Path(os.environ.get(variable) or ".").resolve()
    whole = Path(path).absolute()
    return str(whole.relative_to(root)) if whole.is_relative_to(root) else path


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")
