"""What the page of the benchmark says is what its records say."""

from __future__ import annotations

import json
from typing import Any

from tests.bench import document, targets


def row(tool: str, case: str, seconds: float, hosts: int = 10, latency: float = 0.0, **more: Any) -> Any:
    return {"tool": tool, "case": case, "seconds": seconds, "hosts": hosts, "latency": latency, **more}


def test_the_page_is_made_of_the_records() -> None:
    page = document.PAGE.read_text(encoding="utf-8")
    found = json.loads(document.RECORDS.read_text(encoding="utf-8"))
    assert document.renewed(page, found) == page, "run `python -m tests.bench.document`"


def test_a_target_is_met_missed_or_not_measured() -> None:
    rows = [row("provision", "cold", 1.1), row("ssh python", "cold", 1.0), row("pyinfra", "cold", 2.2)]
    table = targets.markdown(rows).splitlines()
    assert "| 10 hosts, nothing to change, cold: beside ssh python | 1.15 × | 1.1 × | met |" in table
    assert "| 10 hosts, nothing to change, cold: beside pyinfra | 0.4 × | 0.5 × | **not met** |" in table
    assert "| 10 hosts, a value changed: beside ssh script | 1.3 × | | not measured |" in table


def test_who_keeps_no_connection_is_compared_by_a_new_one() -> None:
    rows = targets.Rows(
        [row("pyinfra", "cold", 3.0), row("ansible", "cold", 50.0), row("ansible", "kept", 40.0)]
    )
    assert rows.seconds("pyinfra", "kept") == 3.0
    assert rows.seconds("ansible", "kept") == 40.0
