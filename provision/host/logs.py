"""What services print: the journal of a unit, or the log of a start script."""

from __future__ import annotations

from provision.host.failure import Failure
from provision.host.machine import Machine
from provision.host.services import supervision
from provision.host.services.containers import engines
from provision.host.threads import each
from provision.wire import events
from provision.wire.requests import Logs, Service


def logs(machine: Machine, services: list[Service], asked: Logs) -> events.Done:
    """Carry out the verb `logs`: send a `line` event for each line."""
    work = _follow if asked.follow else _print
    at_once = len(services) if asked.follow else 1
    each(lambda service: work(machine, service, asked.lines), services, at_once)
    return events.Done(ok=True)


def _say(machine: Machine, service: Service, text: str) -> None:
    rank = service.node.rank if service.node else None
    for line in text.splitlines() or [""]:  # a progress bar is many lines in one
        machine.emit(events.Line(service=service.service, text=line, rank=rank))


def _print(machine: Machine, service: Service, lines: int) -> None:
    if service.unit or service.container:
        found = supervision.tail(machine, service, lines)
    else:
        found = supervision.last_lines(service.log or "", lines)
    for line in found:
        _say(machine, service, line)
    if found or lines == 0:
        return
    if service.unit and not machine.root:
        machine.note(
            "journal-unreadable",
            f"the journal shows nothing of {service.service}: this user may not read it "
            "(set `become: true` on the host, or add the user to the group systemd-journal)",
        )
    else:
        machine.note("empty-log", f"{service.service} has printed nothing")


def _follow(machine: Machine, service: Service, lines: int) -> None:
    try:
        machine.run(_following(service, str(lines)), on_line=lambda line: _say(machine, service, line))
    except Failure as failure:
        if not machine.cancelled.is_set():
            machine.note(failure.code, f"{service.service}: {failure.message}")


def _following(service: Service, lines: str) -> list[str]:
    """Return the command that prints the last lines of a log, and then whatever is added."""
    if service.unit:
        return ["journalctl", "--no-pager", "-q", "-o", "cat", "-f", "-n", lines, "-u", service.unit]
    if service.container:
        return [engines.require(service.engine), "logs", "--follow", "--tail", lines, service.container]
    # -F waits for a file that does not exist yet, and goes on with the new one after a rotation. What tail
    # says of that on standard error is no line of the service.
    return ["sh", "-c", 'exec tail -n "$1" -F -- "$2" 2>/dev/null', "sh", lines, service.log or ""]
