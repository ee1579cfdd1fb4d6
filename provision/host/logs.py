"""What services print: the journal of a unit, or the log of a start script."""

from __future__ import annotations

import os
import threading
from typing import BinaryIO, Callable

from provision.host.failure import Failure
from provision.host.machine import Machine
from provision.host.services import supervision
from provision.host.services.containers import engines
from provision.wire import events
from provision.wire.requests import Logs, Service

POLL = 0.25
"""Seconds between two looks at a log that is followed."""


def logs(machine: Machine, request: Logs) -> events.Done:
    """Carry out the verb `logs`: send a `line` event for each line."""
    if not request.follow:
        for service in request.services:
            _print(machine, service, request.lines)
        return events.Done(ok=True)
    followers = [
        threading.Thread(target=_follow, args=(machine, service, request.lines), name="follow")
        for service in request.services
    ]
    for follower in followers:
        follower.start()
    for follower in followers:
        follower.join()
    return events.Done(ok=True)


def _say(machine: Machine, service: Service) -> Callable[[str], None]:
    def say(text: str) -> None:
        for line in text.splitlines() or [""]:  # a progress bar is many lines in one
            machine.emit(events.Line(service=service.service, text=line))

    return say


def _print(machine: Machine, service: Service, lines: int) -> None:
    say = _say(machine, service)
    if service.unit or service.container:
        found = supervision.tail(machine, service, lines)
    else:
        found = supervision.last_lines(service.log or "", lines)
    for line in found:
        say(line)
    if not found and lines > 0:
        _nothing(machine, service)


def _nothing(machine: Machine, service: Service) -> None:
    """Say why no line is shown."""
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
        if service.unit:
            argv = [
                "journalctl",
                "--no-pager",
                "-q",
                "-o",
                "cat",
                "-f",
                "-n",
                str(lines),
                "-u",
                service.unit,
            ]
            machine.run(argv, on_line=_say(machine, service))
        elif service.container:
            engine = engines.require(service.engine)
            machine.run(
                [engine, "logs", "--follow", "--tail", str(lines), service.container],
                on_line=_say(machine, service),
            )
        else:
            follow_file(machine, service.log or "", lines, _say(machine, service))
    except Failure as failure:
        if not machine.cancelled.is_set():
            machine.note(failure.code, f"{service.service}: {failure.message}")


def follow_file(machine: Machine, path: str, lines: int, say: Callable[[str], None]) -> None:
    """Print the last lines of a file and then whatever is added, until the run is cancelled.

    A file that is not there yet is waited for; one that is put aside or cut short is read anew.
    """
    file = _open(path)
    rest = b""
    if file:
        file.seek(max(0, os.fstat(file.fileno()).st_size - supervision.READ))
        *whole, rest = file.read().split(b"\n")
        for line in whole[-lines:] if lines else []:
            say(line.decode("utf-8", "replace"))
    while not machine.cancelled.wait(POLL):
        if file:
            rest = _drain(file, rest, say)
            if not _replaced(file, path):
                continue
            file.close()
            rest = b""
        file = _open(path)
    if file:
        file.close()


def _open(path: str) -> BinaryIO | None:
    try:
        return open(path, "rb")
    except OSError:
        return None


def _replaced(file: BinaryIO, path: str) -> bool:
    here = os.fstat(file.fileno())
    try:
        there = os.stat(path)
    except OSError:
        return False
    return (here.st_dev, here.st_ino) != (there.st_dev, there.st_ino) or there.st_size < file.tell()


def _drain(file: BinaryIO, rest: bytes, say: Callable[[str], None]) -> bytes:
    """Say every whole line that has come; return the beginning of the next."""
    *whole, rest = (rest + file.read()).split(b"\n")
    for line in whole:
        say(line.decode("utf-8", "replace"))
    return rest
