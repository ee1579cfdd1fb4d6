"""Findings for programs: JSON lines, workflow commands of GitHub, and GitLab's Code Quality report."""

from __future__ import annotations

import json as jsonlib
import os
from collections import Counter
from collections.abc import Iterator, Sequence
from hashlib import sha256
from pathlib import Path

from provision.show.findings import Located, json_line
from provision.wire.finding import ERROR, INFO, WARNING

_COMMANDS = {ERROR: "error", WARNING: "warning", INFO: "notice"}
_SEVERITIES = {ERROR: "major", WARNING: "minor", INFO: "info"}


def json(findings: Sequence[Located]) -> Iterator[str]:
    """Return an object a line."""
    return (json_line(each.finding, each.host) for each in findings)


def github(findings: Sequence[Located]) -> Iterator[str]:
    """Return a workflow command a line, which GitHub shows beside the line of the file."""
    for each in findings:
        finding, position, _ = each
        values = {"title": finding.code}
        if position:
            path = _relative(position.path, "GITHUB_WORKSPACE")
            values = {"file": path, "line": str(position.line), "col": str(position.column), **values}
        properties = ",".join(f"{key}={_property(value)}" for key, value in values.items())
        yield f"::{_COMMANDS[finding.severity]} {properties}::{_data(_text(each))}"


def gitlab(findings: Sequence[Located]) -> Iterator[str]:
    """Return one array of GitLab's Code Quality report; it is empty when there is nothing to say."""
    entries = []
    seen: Counter[tuple[str, str, str]] = Counter()
    for each in findings:
        finding, position, _ = each
        # GitLab wants a path for each entry.
        path = _relative(position.path, "CI_PROJECT_DIR") if position else "."
        # Without the line, so that a finding stays the same one when lines are added above it.
        key = (finding.code, path, _text(each))
        name = "\0".join([*key, str(seen[key])])
        seen[key] += 1
        entries.append(
            {
                "description": _text(each),
                "check_name": finding.code,
                "fingerprint": sha256(name.encode("utf-8", "backslashreplace")).hexdigest(),
                "severity": _SEVERITIES[finding.severity],
                "location": {"path": path, "lines": {"begin": position.line if position else 1}},
            }
        )
    yield jsonlib.dumps(entries, ensure_ascii=False, indent=2)


def _text(each: Located) -> str:
    about = f"{each.host}: " if each.host else ""
    return f"{about}{each.finding.sentence()}"


def _relative(path: str, variable: str) -> str:
    """Return a path as seen from the repository, which the environment names in a CI job."""
    root = Path(os.environ.get(variable) or ".").resolve()
    whole = Path(path).absolute()
    return str(whole.relative_to(root)) if whole.is_relative_to(root) else path


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")
