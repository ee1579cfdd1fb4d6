"""What provision wants to reach, and whether a run reached it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from .report import Row

OURS = "provision"
FLOOR = "ssh python"
SCRIPT = "ssh script"


class Rows:
    """Finds numbers among rows; raises `KeyError` for what was not measured."""

    def __init__(self, rows: Sequence[Row]) -> None:
        self._rows = {(row["tool"], row["case"], row["hosts"], row["latency"]): row for row in rows}

    def value(self, key: str, tool: str, case: str, hosts: int, latency: float = 0.0) -> float:
        """Return one number."""
        return float(self._rows[tool, case, hosts, latency][key])

    def seconds(self, tool: str, case: str, hosts: int = 10, latency: float = 0.0) -> float:
        """Return a median time; a tool that keeps no connection takes as long as with new ones."""
        if case == "kept" and (tool, case, hosts, latency) not in self._rows:
            case = "cold"
        return self.value("seconds", tool, case, hosts, latency)


@dataclass(frozen=True)
class Target:
    """One thing to reach.

    Args:
        what: in words.
        limit: the measured value is to be at most this.
        unit: `x` for a ratio.
        measure: gives the value.
    """

    what: str
    limit: float
    unit: str
    measure: Callable[[Rows], float]


def _beside(case: str, peer: str, limit: float) -> Target:
    what = {"first": "all to be made", "change": "a value changed"}.get(case, f"nothing to change, {case}")
    return Target(
        f"10 hosts, {what}: beside {peer}",
        limit,
        "x",
        lambda rows: rows.seconds(OURS, case) / rows.seconds(peer, case),
    )


def _growth(case: str) -> Target:
    return Target(
        f"from 10 to 100 hosts, {case}",
        10,
        "x",
        lambda rows: rows.seconds(OURS, case, 100) / rows.seconds(OURS, case, 10),
    )


def _memory(what: str, key: str) -> Target:
    return Target(
        f"memory at 100 hosts, {what}",
        150,
        "MB",
        lambda rows: max(rows.value(key, OURS, case, 100) for case in ("cold", "kept", "plan")) / 1e6,
    )


def _executions(rows: Rows) -> float:
    return max(rows.value("executions", OURS, case, 10) for case in ("cold", "kept", "plan"))


TARGETS = (
    _beside("first", SCRIPT, 1.3),
    _beside("change", SCRIPT, 1.3),
    _beside("cold", FLOOR, 1.15),
    _beside("kept", FLOOR, 2),
    _beside("cold", "pyinfra", 0.4),
    _beside("cold", "ansible", 0.04),
    _beside("kept", "pyinfra", 0.1),
    _beside("kept", "ansible", 0.012),
    _growth("cold"),
    _growth("kept"),
    _memory("the process alone", "alone"),
    _memory("with all of ssh", "memory"),
    Target(
        "processes at once at 100 hosts: one for each kept connection, two for each of 32 forks",
        165,
        "",
        lambda rows: max(rows.value("at_once", OURS, case, 100) for case in ("cold", "kept", "plan")),
    ),
    Target(
        "10 hosts, plan over kept connections: what 40 ms of latency add",
        0.25,
        "s",
        lambda rows: rows.seconds(OURS, "plan", latency=0.04) - rows.seconds(OURS, "plan"),
    ),
    Target("executions for each converged host, counted there", 1, "", _executions),
)


def markdown(rows: Sequence[Row]) -> str:
    """Return a table: wanted, measured, met or not; what was not measured says so."""
    lines = ["| | wanted, at most | measured | |", "|---|---:|---:|---|"]
    for target in TARGETS:
        try:
            value = target.measure(Rows(rows))
        except KeyError:
            lines.append(f"| {target.what} | {_with_unit(target.limit, target.unit)} | | not measured |")
            continue
        verdict = "met" if value <= target.limit else "**not met**"
        wanted, measured = (_with_unit(number, target.unit) for number in (target.limit, value))
        lines.append(f"| {target.what} | {wanted} | {measured} | {verdict} |")
    return "\n".join(lines) + "\n"


def _with_unit(value: float, unit: str) -> str:
    if unit == "x":
        return f"{value:.3g} ×"
    return f"{value:.3g} {unit}".strip()
