"""Services as a table."""

from __future__ import annotations

import time
from collections.abc import Iterator

from provision.show.terminal.findings import cause
from provision.show.terminal.nodes import Nodes
from provision.show.terminal.screen import Screen
from provision.show.terminal.style import BAD, GOOD, OLD, QUIET, paint
from provision.show.words import count, human_bytes, human_seconds
from provision.wire import statuses

COLUMNS = ("HOST", "SERVICE", "STATE", "PID", "UPTIME", "PORT", "MODEL", "GPU MEMORY", "CACHE")
SERVERS = {"up": GOOD, "down": BAD, "out": OLD}
NODES = "NODES"
"""The last column, which is there when a service runs over several hosts."""

STATES = {"running": GOOD, "starting": OLD, "stopped": BAD, "failed": BAD}


class Status(Screen):
    """One table at the end, since columns need to know their widths."""

    def ending(self) -> Iterator[str]:
        """Return the table, then the hosts that had nothing to say."""
        hosts = self.report.hosts.values()
        nodes = Nodes((host.name, service) for host in hosts for service in host.services)
        services = [
            (host.name, service)
            for host in hosts
            for service in host.services
            if not nodes.told_by_head(service)
        ]
        rows = [(*_row(host, service), *nodes.cell(host, service)) for host, service in services]
        columns = (*COLUMNS, NODES) if nodes else COLUMNS
        widths = [max(len(row[i]) for row in [columns, *rows]) for i in range(len(columns))]
        if rows:
            yield paint(_line(columns, widths), QUIET)
        for row, (_, service) in zip(rows, services, strict=True):
            state = row[2]
            painted = paint(state, STATES.get(state.partition(" ")[0], OLD))
            yield _line(row, widths).replace(f"  {state}", f"  {painted}", 1)
            yield from map(_server, service.servers)
        for host in hosts:
            trouble = cause(host)
            if trouble:
                yield f"{host.name}  {paint('!', BAD)} {trouble}"
            elif not host.services:
                yield f"{host.name}  no services"


def _row(host: str, service: statuses.ServiceStatus) -> tuple[str, ...]:
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
        _cache(service),
    )


def _server(server: statuses.ServerStatus) -> str:
    """Return how a server of a gateway is."""
    state = paint(server.state, SERVERS.get(server.state, BAD))
    words = [f"    {server.service} on {server.host}: {state}", f"{count(server.running, 'running request')}"]
    if server.since is not None:
        words.append(f"taken out {human_seconds(max(0.0, time.time() - server.since))} ago, {server.why}")
    elif server.state == "out":
        words.append("taken out by hand")
    return ", ".join(words)


def _cache(service: statuses.ServiceStatus) -> str:
    """Return how much the server has room for, as it logged at its start."""
    known = service.figures.tokens if service.figures and service.pid else None
    return f"{known:,} tokens" if known else "-"


def _line(row: tuple[str, ...], widths: list[int]) -> str:
    return "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
