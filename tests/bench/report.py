"""The records as a table for people."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from .cases import CASES
from .tools import TOOLS

Row = dict[str, Any]

_HEAD = ("", "seconds", "ratio", "CPU s", "MB", "kB sent", "executions", "processes", "runs")


def markdown(rows: Sequence[Row]) -> str:
    """Return tables in Markdown; ratios are of seconds, against provision."""
    return "\n".join(_lines(rows)) + "\n"


def _lines(rows: Sequence[Row]) -> Iterator[str]:
    for hosts, latency in sorted({(row["hosts"], row["latency"]) for row in rows}):
        some = [row for row in rows if (row["hosts"], row["latency"]) == (hosts, latency)]
        extra = f", {latency * 1000:.0f} ms of latency" if latency else ""
        yield f"### {hosts} host{'' if hosts == 1 else 's'}{extra}\n"
        for case, meaning in CASES.items():
            these = {row["tool"]: row for row in some if row["case"] == case}
            if not these:
                continue
            yield f"**{case}**: {meaning}\n"
            yield "| " + " | ".join(_HEAD) + " |"
            yield "|---|" + "---:|" * (len(_HEAD) - 1)
            ours = these.get("provision")
            for tool in TOOLS:
                if tool in these:
                    yield _line(these[tool], ours)
            yield ""


def _line(row: Row, ours: Row | None) -> str:
    ratio = f"{row['seconds'] / ours['seconds']:.2f}" if ours else ""
    cells = (
        row["tool"],
        f"{row['seconds']:.2f}",
        ratio,
        f"{row['cpu']:.2f}",
        f"{row['memory'] / 1e6:.0f}",
        f"{row['sent'] / 1e3:.0f}",
        f"{row['executions']:.0f}",
        f"{row['tasks']:.0f}",
        str(row["runs"]),
    )
    return "| " + " | ".join(cells) + " |"
