"""The records as a table for people."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from .cases import CASES
from .tools import TOOLS

Row = dict[str, Any]

_HEAD = (
    "",
    "seconds",
    "ratio",
    "CPU s",
    "MB alone",
    "MB in all",
    "at once",
    "kB sent",
    "executions",
    "processes",
    "runs",
)


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
            for tool in sorted(these, key=list(TOOLS).index):
                yield _line(these[tool], ours)
            yield ""


def forks(rows: Sequence[Row]) -> str:
    """Return a table of how many hosts at once is best; the default is among them."""
    if not rows:
        return "Not measured.\n"
    names = list(dict.fromkeys(row["tool"] for row in rows))
    some = {(row["tool"], row["hosts"], row["case"]): row for row in rows}
    settings = list(dict.fromkeys((row["hosts"], row["case"]) for row in rows))
    head = [f"{case}, {hosts} hosts" for hosts, case in settings]
    lines = ["| | " + " | ".join(f"{text} | MB in all" for text in head) + " |"]
    lines.append("|---|" + "---:|" * (2 * len(head)))
    for name in names:
        cells = []
        for hosts, case in settings:
            row = some.get((name, hosts, case))
            cells += [f"{row['seconds']:.2f} s", f"{row['memory'] / 1e6:.0f}"] if row else ["", ""]
        lines.append(f"| `{name}` | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def _line(row: Row, ours: Row | None) -> str:
    ratio = f"{row['seconds'] / ours['seconds']:.2f}" if ours else ""
    cells = (
        row["tool"],
        f"{row['seconds']:.2f}",
        ratio,
        f"{row['cpu']:.2f}",
        f"{row['alone'] / 1e6:.0f}",
        f"{row['memory'] / 1e6:.0f}",
        str(row["at_once"]),
        f"{row['sent'] / 1e3:.0f}",
        f"{row['executions']:.0f}",
        f"{row['tasks']:.0f}",
        str(row["runs"]),
    )
    return "| " + " | ".join(cells) + " |"
