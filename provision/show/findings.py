"""A finding on one line: what it says, the way out, and at the end its code, which `explain` knows."""

from __future__ import annotations

import json

from provision.show.jsonl import VERSION
from provision.show.style import QUIET, paint
from provision.wire.finding import Finding


def coded(text: str, code: str) -> str:
    """Return a line with a code at its end, such as `… [unknown-key]`."""
    return f"{text} {paint(f'[{code}]', QUIET)}"


def sentence(finding: Finding) -> str:
    """Return a finding without its place and log."""
    hint = f"; {finding.hint}" if finding.hint else ""
    return coded(f"{finding.message}{hint}", finding.code)


def json_line(finding: Finding, host: str | None = None) -> str:
    """Return a finding as an object of `--output json`; `host` is the one that it is about."""
    about = {} if host is None else {"host": host}
    return json.dumps(
        {"version": VERSION, "event": "finding", **about, **finding.plain()}, ensure_ascii=False
    )
