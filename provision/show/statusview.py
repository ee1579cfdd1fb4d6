"""Services as a table."""

from __future__ import annotations

import click

from provision.show.findings import cause
from provision.show.jsonl import JsonLines
from provision.show.progress import View
from provision.show.report import Report
from provision.show.style import BAD, GOOD, OLD, QUIET, paint
from provision.show.words import human_bytes, human_seconds
from provision.wire import events

COLUMNS = ("HOST", "SERVICE", "STATE", "PID", "UPTIME", "PORT", "MODEL", "GPU MEMORY")
STATES = {"running": GOOD, "starting": OLD, "stopped": BAD, "failed": BAD}


class StatusText:
    """Collects everything and prints one table, since columns need to know their widths."""

    def __init__(self, report: Report) -> None:
        self._report = report

    def take(self, event: events.Event) -> None:
        """Remember one event."""
        self._report.take(event)

    def close(self) -> None:
        """Print the table, then the hosts that had nothing to say."""
        rows = [_row(host.name, service) for host in self._report.hosts.values() for service in host.services]
        widths = [max(len(row[i]) for row in [COLUMNS, *rows]) for i in range(len(COLUMNS))]
        if rows:
            click.echo(paint(_line(COLUMNS, widths), QUIET))
        for row in rows:
            text = _line(row, widths)
            state = row[2]
            click.echo(text.replace(f"  {state}", f"  {paint(state, STATES.get(state.split()[0], OLD))}", 1))
        for host in self._report.hosts.values():
            trouble = cause(host)
            if trouble:
                click.echo(f"{host.name}  {paint('!', BAD)} {trouble}")
            elif not host.services:
                click.echo(f"{host.name}  no services")


def _row(host: str, service: events.ServiceStatus) -> tuple[str, ...]:
    listening = "" if service.listening else " (closed)"
    return (
        host,
        service.service,
        service.state,
        str(service.pid or "-"),
        "-" if service.uptime is None else human_seconds(service.uptime),
        f"{service.port}{listening}" if service.port else "-",
        service.model or "-",
        human_bytes(service.gpu_memory) if service.gpu_memory else "-",
    )


def _line(row: tuple[str, ...], widths: list[int]) -> str:
    return "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()


def status_view(report: Report, output: str) -> View:
    """Return the view that `--output` asks for."""
    return JsonLines() if output == "json" else StatusText(report)
