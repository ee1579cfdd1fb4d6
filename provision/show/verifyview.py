"""What was sent to services and what came back."""

from __future__ import annotations

import click

from provision.show.jsonl import JsonLines
from provision.show.progress import View, lines
from provision.show.report import Report
from provision.show.style import BAD, LOUD, paint
from provision.show.words import count
from provision.wire import events


class VerifyText:
    """Prints each check as it is done."""

    def __init__(self, report: Report) -> None:
        self._report = report

    def take(self, event: events.Event) -> None:
        """Print what one event is worth."""
        self._report.take(event)
        for line in lines(self._report, event):
            click.echo(line)

    def close(self) -> None:
        """Print the sum."""
        hosts = self._report.hosts.values()
        proofs = [proof for host in hosts for proof in host.proofs]
        failed = sum(1 for proof in proofs if not proof.ok)
        lost = sum(1 for host in hosts if host.unreachable or host.error)
        words = [f"{count(len(proofs) - failed, 'check')} passed"]
        if failed:
            words.append(paint(f"{failed} failed", BAD))
        if lost:
            words.append(paint(f"{count(lost, 'host')} in trouble", BAD))
        click.echo(f"{paint('Verify:', LOUD)} {', '.join(words)}.")


def verify_view(report: Report, output: str) -> View:
    """Return the view that `--output` asks for."""
    return JsonLines() if output == "json" else VerifyText(report)
