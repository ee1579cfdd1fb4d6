"""What hosts are busy with: on a terminal redrawn at the bottom, in a log mentioned now and then."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable
from dataclasses import replace
from typing import TYPE_CHECKING, TextIO

import click

from provision.dataclass import dataclass
from provision.show.report import HostReport
from provision.show.words import clip, count, human_bytes, human_seconds
from provision.wire import events, rollout

if TYPE_CHECKING:
    from rich.console import RenderableType

PATIENCE = 3.0
"""Seconds that a step may take before a log mentions it."""

REPEAT = 15.0
"""Seconds between two such lines about the same step."""

WIDTH = 100
"""Characters of such a line that are kept of what a command printed."""


@dataclass
class Step:
    """What a host is busy with."""

    label: str
    since: float
    told: float = 0.0
    done: float = 0.0
    total: float | None = None
    unit: str = ""
    text: str = ""
    urgent: bool = False
    """It is mentioned at once."""

    def sentence(self) -> str:
        """Return what the step is and how far it has come."""
        parts = []
        if self.unit == "bytes" and self.done:
            parts.append(human_bytes(self.done) + (f" of {human_bytes(self.total)}" if self.total else ""))
        if self.text:
            parts.append(self.text)
        return ": ".join([self.label, ", ".join(parts)]) if parts else self.label


class Steps:
    """Which steps run on which host, as the events tell."""

    def __init__(self) -> None:
        self.running: dict[str, dict[str, Step]] = {}

    def take(self, host: HostReport, event: events.Event) -> None:
        """Note one event."""
        steps = self.running.setdefault(event.host, {})

        def step(id: str, label: str | None = None) -> Step:
            return steps.setdefault(id, Step(label or host.label(id), time.monotonic()))

        match event:
            case events.Started():
                steps[event.id] = Step(host.label(event.id), time.monotonic())
            case events.Progress():
                busy = step(event.id)
                busy.done, busy.total, busy.unit, busy.text = event.done, event.total, event.unit, event.text
            case events.Output():
                step(event.id).text = " ".join(event.line.split())
            case events.Waiting():
                waiting = step(event.id or "", None if event.id else "waiting")
                waiting.text, waiting.urgent = f"waits for {event.reason}", event.locked
            case events.Result() | events.Restored():
                steps.pop(event.id, None)
                steps.pop("", None)
            case events.Done() | rollout.Unreachable() | events.Error():
                steps.clear()


class PlainProgress:
    """Lines only, for logs and pipes; a long step is mentioned again now and then."""

    def __init__(self, out: TextIO) -> None:
        self._out = out
        self._steps = Steps()

    def take(self, host: HostReport, event: events.Event) -> None:
        """Note one event, and mention each step of its host that takes long."""
        self._steps.take(host, event)
        now = time.monotonic()
        for step in self._steps.running[host.name].values():
            early = now - step.since < PATIENCE and not step.urgent
            if early or (step.told and now - step.told < REPEAT):
                continue
            step.told = now
            self.say([f"{host.name}  … {clip(step.sentence(), WIDTH)} ({human_seconds(now - step.since)})"])

    def say(self, lines: Iterable[str]) -> None:
        """Print lines."""
        for line in lines:
            click.echo(line, file=self._out)

    def close(self) -> None:
        """Do nothing: nothing is left open."""


class LiveProgress:
    """A terminal: lasting lines above, below them one line for each host that is busy.

    The lines below are drawn by a thread of their own: what they show is read and changed under a lock.
    """

    def __init__(self, out: TextIO) -> None:
        from rich.console import Console
        from rich.live import Live

        self._steps = Steps()
        self._lock = threading.Lock()
        self._console = Console(file=out, highlight=False)
        self._live = Live(
            console=self._console, get_renderable=self._draw, refresh_per_second=8, transient=True
        )

    def take(self, host: HostReport, event: events.Event) -> None:
        """Note one event."""
        # Not before there is something to show: what fails before leaves the terminal as it was.
        if not self._live.is_started:
            self._live.start()
        with self._lock:
            self._steps.take(host, event)

    def say(self, lines: Iterable[str]) -> None:
        """Print lines above those that are redrawn."""
        from rich.text import Text

        for line in lines:
            self._console.print(Text.from_ansi(line), soft_wrap=True)

    def close(self) -> None:
        """Take the busy lines off the screen."""
        self._live.stop()

    def _draw(self) -> RenderableType:
        from rich.console import Group
        from rich.progress_bar import ProgressBar
        from rich.spinner import Spinner
        from rich.table import Table

        table = Table.grid(padding=(0, 1))
        with self._lock:
            busy = [
                (host, [replace(step) for step in steps.values()])
                for host, steps in self._steps.running.items()
                if steps
            ]
        room = max(1, self._console.height - 3)
        for host, steps in busy[:room]:
            for step in steps[: max(1, room // len(busy))]:
                bar = ProgressBar(total=step.total, completed=step.done, width=20) if step.total else ""
                text = step.sentence()
                took = human_seconds(time.monotonic() - step.since)
                room_left = self._console.width - len(host) - 36
                table.add_row(Spinner("dots"), host, bar, clip(text, room_left), took)
        if len(busy) > room:
            return Group(table, f"  and {count(len(busy) - room, 'more host')}")
        return table
