"""What is measured, and in which order: rounds over all tools, so that a busy minute meets all of them."""

from __future__ import annotations

import dataclasses
import statistics
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from tests.lab import LabError, LabHost

from .hosts import Count, reset, state, states
from .meter import Cost, Meter
from .tools import Tool

CASES = {
    "first": "directories, files, unit and service made",
    "change": "one template changed, service restarted",
    "cold": "nothing to change, new connections",
    "kept": "nothing to change, connections of the run before",
    "plan": "the plan, nothing to change, kept connections where there are some",
}
"""In the order of a turn: each tool finds converged what it has made itself."""


@dataclass
class Record:
    """All runs of one case of one tool with so many hosts and so much latency.

    ``executions`` and ``tasks`` are of one host: commands that its sshd executed, and processes and threads
    that were started on it.
    """

    hosts: int
    latency: float
    tool: str
    case: str
    costs: list[Cost] = field(default_factory=list)
    executions: list[int] = field(default_factory=list)
    tasks: list[int] = field(default_factory=list)

    def summary(self) -> dict[str, Any]:
        """Medians; of memory the most."""
        return {
            "hosts": self.hosts,
            "latency": self.latency,
            "tool": self.tool,
            "case": self.case,
            "runs": len(self.costs),
            "seconds": statistics.median(cost.seconds for cost in self.costs),
            "cpu": statistics.median(cost.cpu for cost in self.costs),
            "memory": max(cost.memory for cost in self.costs),
            "alone": max(cost.alone for cost in self.costs),
            "at_once": max(cost.at_once for cost in self.costs),
            "open_files": max(cost.open_files for cost in self.costs),
            "sent": statistics.median(cost.sent for cost in self.costs),
            "executions": statistics.median(self.executions),
            "tasks": statistics.median(self.tasks),
            "all_seconds": [round(cost.seconds, 3) for cost in self.costs],
        }


class Bench:
    """Measures some tools on some hosts.

    Args:
        tools: set up for the hosts.
        meters: one for each tool.
        hosts: that all of them work on.
        latency: seconds, only for the record.
        cases: of `CASES`.
        repeats: rounds.
        slow_repeats: rounds that the slow tools take part in, spread over all.
        budget: seconds after which a tool gets no further round.
    """

    def __init__(
        self,
        tools: Sequence[Tool],
        meters: dict[str, Meter],
        hosts: Sequence[LabHost],
        latency: float,
        cases: Sequence[str],
        repeats: int,
        slow_repeats: int,
        budget: float,
    ) -> None:
        self.tools = tools
        self.meters = meters
        self.hosts = hosts
        self.cases = cases
        self.repeats = repeats
        self.slow_step = -(-repeats // max(1, slow_repeats))
        self.spent = {tool.name: 0.0 for tool in tools}
        self.budget = budget
        self.records = {
            (tool.name, case): Record(len(hosts), latency, tool.name, case)
            for tool in tools
            for case in cases
        }
        self.own = Count.own_tasks(hosts[0])
        self.messages = (f"m{time.time_ns()}" for _ in iter(int, 1))
        self.message = next(self.messages)

    def prepare(self) -> None:
        """Let each kind of tool make the work from nothing and hold what it made against that of the others.

        Then each finds nothing to do on what the last one has made.
        """
        workers = list({type(tool): tool for tool in self.tools if tool.converges}.values())
        reference: list[dict[str, Any]] = []
        for tool in workers:
            reset(self.hosts)
            self._patiently(tool)
            made = states(self.hosts)
            reference = reference or made
            for host, ours, theirs in zip(self.hosts, reference, made, strict=True):
                wrong = [key for key in ours if ours[key] != theirs[key]]
                if wrong:
                    key = wrong[0]
                    raise LabError(
                        f"{tool.name} leaves {host.name} otherwise than {workers[0].name}: {key} is "
                        f"{theirs[key]} and not {ours[key]}"
                    )
        for tool in self.tools:
            if tool.proves:
                self._patiently(tool)
            self._unchanged(tool, self._call(tool, tool.apply(self.message)))

    def run(self) -> Iterator[Record]:
        """Measure, and yield each record as often as it grows; the hosts are prepared."""
        for number in range(self.repeats):
            for tool in self.tools:
                if tool.slow and number % self.slow_step:
                    continue
                if number and self.spent[tool.name] > self.budget:
                    continue
                for case in self.cases:
                    if case in tool.cases:
                        yield self._measure(tool, case)

    def _measure(self, tool: Tool, case: str) -> Record:
        record = self.records[tool.name, case]
        if case == "cold":
            tool.disconnect()
        elif case == "change":
            self.message = next(self.messages)
        elif case == "first":
            reset(self.hosts)
        argv = tool.plan(self.message) if case == "plan" else tool.apply(self.message)
        before = Count.of(self.hosts[0])
        cost = self._call(tool, argv)
        after = Count.of(self.hosts[0])
        if case in ("cold", "kept"):
            self._unchanged(tool, cost)
        elif case in ("change", "first") and f"bench {self.message}\n" != state(self.hosts[-1])["answer"]:
            raise LabError(f"{tool.name} has not changed what {self.hosts[-1].name} answers:\n{cost.output}")
        record.costs.append(dataclasses.replace(cost, output=""))
        record.executions.append(after.executions - before.executions)
        record.tasks.append(after.tasks - before.tasks - self.own)
        self.spent[tool.name] += cost.seconds
        return record

    def _unchanged(self, tool: Tool, cost: Cost) -> None:
        changed, expected = tool.changed(cost.output), tool.always * len(self.hosts)
        if changed != expected:
            raise LabError(
                f"{tool.name} changed {changed} and not {expected} on converged hosts:\n{cost.output}"
            )

    def _patiently(self, tool: Tool) -> None:
        """Let a tool apply, once more where a machine with a hundred busy hosts was too slow for it."""
        try:
            self._call(tool, tool.apply(self.message))
        except LabError:
            self._call(tool, tool.apply(self.message))

    def _call(self, tool: Tool, argv: list[str]) -> Cost:
        return self.meters[tool.name].run(argv, tool.env, tool.lab)
