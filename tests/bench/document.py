"""``python -m tests.bench.document``: writes what a run measured into docs/benchmarks.md.

Everything between ``<!-- bench: NAME -->`` and ``<!-- end -->`` there comes from docs/benchmarks.json: nobody
edits a number by hand.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from . import report, targets

DOCS = Path(__file__).resolve().parents[2] / "docs"
PAGE = DOCS / "benchmarks.md"
RECORDS = DOCS / "benchmarks.json"
PLOT = DOCS / "benchmarks.svg"


def renewed(page: str, found: dict[str, Any]) -> str:
    """Return the page with these measurements."""
    parts = {
        "machine": _machine(found),
        "targets": targets.markdown(found["records"]),
        "tables": report.markdown(found["records"]),
        "forks": report.forks(found["forks"]),
    }

    def part(match: re.Match[str]) -> str:
        return f"<!-- bench: {match[1]} -->\n{parts[match[1]].strip()}\n<!-- end -->"

    return re.sub(r"<!-- bench: (\w+) -->\n.*?<!-- end -->", part, page, flags=re.DOTALL)


def renew() -> None:
    """Write the page anew."""
    found = json.loads(RECORDS.read_text(encoding="utf-8"))
    PAGE.write_text(renewed(PAGE.read_text(encoding="utf-8"), found), encoding="utf-8")


def _machine(found: dict[str, Any]) -> str:
    releases = ", ".join(
        f"{name} {release}" for name, release in found["releases"].items() if name != "matplotlib"
    )
    return f"{found['cpus']} cores, {releases}."


if __name__ == "__main__":
    renew()
