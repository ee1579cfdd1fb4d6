"""A finding on one line: what it says, the way out, and at the end its code, which `explain` knows."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, NamedTuple

from provision.show.jsonl import VERSION
from provision.show.style import QUIET, paint
from provision.wire.finding import Finding

if TYPE_CHECKING:
    from provision.config.problems import Position
    from provision.show.report import HostReport


class Located(NamedTuple):
    """A finding, the place of the user's files where it has to be changed, and the host that it is about."""

    finding: Finding
    position: Position | None = None
    host: str | None = None


def coded(text: str, code: str) -> str:
    """Return a line with a code at its end, such as `… [unknown-key]`."""
    return f"{text} {paint(f'[{code}]', QUIET)}"


def sentence(finding: Finding) -> str:
    """Return a finding without its place and log."""
    return coded(finding.sentence(), finding.code)


def cause(host: HostReport) -> str | None:
    """Say in one line why a host has nothing to show; None when it has."""
    trouble = host.unreachable or host.error
    if trouble is None:
        return None
    return sentence(trouble.finding)


def json_line(finding: Finding, host: str | None = None) -> str:
    """Return a finding as an object of `--output json`; `host` is the one that it is about."""
    about = {} if host is None else {"host": host}
    return json.dumps(
        {"version": VERSION, "event": "finding", **about, **finding.plain()}, ensure_ascii=False
    )
