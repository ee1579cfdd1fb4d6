"""An apply as it happens: a line for each thing done, and on a terminal what every host is busy with."""

from __future__ import annotations

import sys
import threading
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Protocol

import click

from provision.show.findings import cause, coded
from provision.show.report import HostReport, Report
from provision.show.style import BAD, GOOD, LOUD, OLD, QUIET, paint
from provision.show.words import clip, count, human_bytes, human_seconds
from provision.wire import events
from provision.wire.finding import Finding

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.live import Live

PATIENCE = 3.0
"""Seconds that a step may take before a log that nobody redraws mentions it."""

REPEAT = 15.0
"""Seconds between two such lines about the same step."""

WIDTH = 100
"""Characters of such a line that are kept of what a command printed."""

MARKS = {"changed": ("✓", GOOD), "failed": ("✗", BAD), "skipped": ("·", OLD)}


class View(Protocol):
    """What a verb hands its events to."""

    def take(self, event: events.Event) -> None:
        """Show one event."""

    def close(self) -> None:
        """Leave the screen in order."""


def lines(report: Report, event: events.Event) -> list[str]:
    """Return the lasting lines that an event is worth; most are worth none."""
    host = report.hosts[event.host]
    where = paint(event.host, LOUD)
    match event:
        case events.Result(status="ok"):
            return []
        case events.Result():
            mark, colour = MARKS[event.status]
            took = f" ({human_seconds(event.seconds)})" if event.seconds >= 0.1 else ""
            start = f"{where}  {paint(mark, colour)} "
            message = event.finding.message if event.finding else ""
            if event.status == "skipped":
                return [f"{start}{host.label(event.id)}{paint(took, QUIET)} skipped: {message}"]
            if event.finding:
                told = host.told(event)
                return [
                    coded(
                        f"{start}{failed(host.label(event.id), message)}{paint(took, QUIET)}",
                        event.finding.code,
                    ),
                    *([] if told else explaining(event.finding.log)),
                    *explaining([], None if told and told.hint == event.finding.hint else event.finding.hint),
                ]
            return [f"{start}{host.label(event.id)}{paint(took, QUIET)}"]
        case events.Proof():
            return proof_lines(event)
        case events.Restored():
            mark = paint("✓", GOOD) if event.ok else paint("·", OLD)
            why = f": {event.finding.message}" if event.finding else ""
            said = f"{where}  {mark} {event.service}: {event.text}{why}"
            return [coded(said, event.finding.code) if event.finding else said, *below(event.finding)]
        case events.Removed():
            return [f"{where}  {removed_words(event)}"]
        case events.Bootstrapped():
            took = human_seconds(event.seconds)
            return [f"{where}  {paint('✓', GOOD)} python3 {event.python} installed ({took})"]
        case events.Unreachable() | events.Error():
            return [f"{where}  {paint('✗', BAD)} {cause(host)}", *explaining(event.finding.log)]
        case _:
            return []


def failed(label: str, error: str) -> str:
    """Return what has failed and why, without naming it twice: many an error begins with what it is about."""
    kind, _, subject = label.rpartition(" ")
    for name in (label, subject):
        if error.startswith(f"{name}: "):
            return f"{label}: {error[len(name) + 2 :]}"
    if kind and " " not in kind and error.startswith(f"{subject} "):
        return f"{kind} {error}"
    return f"{label}: {error}"


def explaining(log: list[str], hint: str | None = None) -> list[str]:
    """Return the lines below an error: what was printed, and the way out."""
    return [*(paint(f"    | {line}", QUIET) for line in log), *([f"    {hint}"] if hint else [])]


def below(finding: Finding | None) -> list[str]:
    """Return the lines below a finding: its log and its hint."""
    return explaining(finding.log, finding.hint) if finding else []


def proof_lines(event: events.Proof) -> list[str]:
    """Return a check with what was sent and what came back."""
    mark = paint("✓", GOOD) if event.ok else paint("✗", BAD)
    verdict = f"does not pass: {event.finding.message}" if event.finding else "answers"
    how = f"({event.check}, {human_seconds(event.seconds)})"
    said = f"{paint(event.host, LOUD)}  {mark} {event.service} {verdict} {how}"
    words = [coded(said, event.finding.code) if event.finding else said]
    if event.sent:
        words.append(f"    {paint('>', QUIET)} {event.sent}")
    if event.received:
        words.append(f"    {paint('<', QUIET)} {event.received}")
    return [*words, *below(event.finding)]


def removed_words(event: events.Removed) -> str:
    """Say what became of something that was to be taken away."""
    if event.finding:
        return coded(f"{paint('✗', BAD)} {event.label}: {event.finding.message}", event.finding.code)
    if event.kept:
        return f"{paint('=', QUIET)} {event.label} stays: {event.kept}"
    return f"{paint('-', BAD)} {event.label}{'' if event.planned else ' removed'}"


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

    def words(self) -> str:
        """Return how far the step is."""
        parts = []
        if self.unit == "bytes" and self.done:
            parts.append(human_bytes(self.done) + (f" of {human_bytes(self.total)}" if self.total else ""))
        if self.text:
            parts.append(self.text)
        return ", ".join(parts)


class Steps:
    """Which steps run on which host, kept up from events."""

    def __init__(self) -> None:
        self.running: dict[str, dict[str, Step]] = {}

    def take(self, host: HostReport, event: events.Event) -> Step | None:
        """Note one event and return the step it is about."""
        steps = self.running.setdefault(event.host, {})
        match event:
            case events.Started():
                steps[event.id] = Step(host.label(event.id), time.monotonic())
                return steps[event.id]
            case events.Progress():
                step = steps.setdefault(event.id, Step(host.label(event.id), time.monotonic()))
                step.done, step.total, step.unit = event.done, event.total, event.unit
                step.text = event.text
                return step
            case events.Output():
                step = steps.setdefault(event.id, Step(host.label(event.id), time.monotonic()))
                step.text = " ".join(event.line.split())
                return step
            case events.Waiting():
                label = host.label(event.id) if event.id else "waiting"
                step = steps.setdefault(event.id or "", Step(label, time.monotonic()))
                step.text = f"waits for {event.reason}"
                return step
            case events.Result() | events.Restored():
                steps.pop(event.id, None)
                steps.pop("", None)
            case events.Done() | events.Unreachable() | events.Error():
                steps.clear()
            case _:
                pass
        return None


class PlainProgress:
    """Lines only, for logs and pipes; a long step is mentioned again now and then."""

    def __init__(self, report: Report) -> None:
        self._report = report
        self._steps = Steps()

    def take(self, event: events.Event) -> None:
        """Print what one event is worth."""
        host = self._report.take(event)
        self._steps.take(host, event)
        for step in self._steps.running.get(event.host, {}).values():
            self._mention(event.host, step)
        for line in lines(self._report, event):
            click.echo(line)

    def _mention(self, host: str, step: Step) -> None:
        now = time.monotonic()
        if now - step.since < PATIENCE or (step.told and now - step.told < REPEAT):
            return
        step.told = now
        words = step.words()
        text = f"{step.label}{f': {words}' if words else ''}"
        click.echo(f"{host}  … {clip(text, WIDTH)} ({human_seconds(now - step.since)})")

    def close(self) -> None:
        """End the output; nothing is left open."""


class LiveProgress:
    """A terminal: lasting lines above, below them one line for each host that is busy.

    The lines below are drawn by a thread of their own: what they show is read and changed under a lock.
    """

    def __init__(self, report: Report) -> None:
        from rich.console import Console
        from rich.live import Live

        self._report = report
        self._steps = Steps()
        self._lock = threading.Lock()
        self._console = Console(highlight=False)
        self._live: Live = Live(
            console=self._console, get_renderable=self._draw, refresh_per_second=8, transient=True
        )

    def take(self, event: events.Event) -> None:
        """Show one event."""
        from rich.text import Text

        # Not before there is something to show: what fails before leaves the terminal as it was.
        if not self._live.is_started:
            self._live.start()
        host = self._report.take(event)
        with self._lock:
            self._steps.take(host, event)
        for line in lines(self._report, event):
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
                words = step.words()
                bar = ProgressBar(total=step.total, completed=step.done, width=20) if step.total else ""
                text = f"{step.label}{f': {words}' if words else ''}"
                took = human_seconds(time.monotonic() - step.since)
                table.add_row(
                    Spinner("dots"), host, bar, clip(text, self._console.width - len(host) - 36), took
                )
        if len(busy) > room:
            return Group(table, f"  and {count(len(busy) - room, 'more host')}")
        return table


def progress(report: Report) -> View:
    """Return the view that suits standard output."""
    return LiveProgress(report) if sys.stdout.isatty() else PlainProgress(report)
