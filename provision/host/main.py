"""Where a request arrives on the host and its events leave."""

from __future__ import annotations

import os
import pwd
import sys
import time
from _signal import signal  # type: ignore[import-not-found]  # without the enumerations of `signal`
from _thread import start_new_thread
from typing import Any

from provision import __version__
from provision.host import causes, history, hold, logs, removal, runner, status, taking, verify
from provision.host.capture import TERM
from provision.host.channel import Channel
from provision.host.dialogue import Dialogue
from provision.host.failure import Failure
from provision.host.machine import Machine, os_release
from provision.wire import VERSION, events, plainjson, requests
from provision.wire.record import Mismatch
from provision.wire.requests import Request

BUFFER = 1 << 16
"""Bytes that are written at once: what a converged host tells is one write, and few packets."""


def _carry_out(machine: Machine, request: Request) -> events.Done:
    asked = request.asked
    if isinstance(asked, requests.Converging):
        machine.deep, machine.ignored = asked.deep, asked.ignore
        return runner.converge(machine, request, asked)
    if isinstance(asked, requests.Verify):
        return verify.verify(machine, request.resources, asked)
    if isinstance(asked, requests.Status):
        return status.status(machine, request.services)
    if isinstance(asked, requests.History):
        return history.history(machine, request)
    if isinstance(asked, requests.Rollback):
        return history.rollback(machine, request, asked)
    if isinstance(asked, requests.Take):
        return taking.take(machine, request)
    if isinstance(asked, requests.Hold):
        return hold.hold(machine, asked, request.who)
    if isinstance(asked, requests.Logs):
        return logs.logs(machine, request.services, asked)
    assert isinstance(asked, requests.Remove)
    return removal.remove(machine, request, asked)


def _unrecognized(said: dict[str, Any], error: Mismatch) -> Failure:
    versions = f"sent by provision {said.get('version')}, received by {__version__}"
    return Failure("unrecognized-message", f"unrecognized request: {error} ({versions})")


def facts() -> events.Facts:
    """Return what a person wants to know of the host at a glance; it takes no time to read."""
    kernel = os.uname()
    pages = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return events.Facts(
        hostname=kernel.nodename,
        os=os_release().get("PRETTY_NAME", kernel.sysname).strip('"'),
        arch=kernel.machine,
        cpus=os.cpu_count(),
        memory=pages,
    )


def main(request: bytes, place: str | None = None) -> int:
    """Carry out one request and return the process's exit code.

    Args:
        request: what is asked for, as JSON.
        place: a directory of ours for what may be lost at any time; None without one.

    Standard output carries the events, and nothing else can write to it. Standard input is watched, because
    its end means that the controller has gone.
    """
    os.umask(0o022)
    out = os.fdopen(os.dup(1), "wb", BUFFER)
    os.dup2(2, 1)
    started = time.monotonic()
    said: dict[str, Any] = plainjson.loads(request.decode("utf-8"))
    machine: Machine
    dialogue = Dialogue()
    channel = Channel(out, on_lost=lambda: machine.cancel(), hears=dialogue.take)
    machine = Machine(channel.emit, said["state"], place=place, dialogue=dialogue)
    channel.attend(0)
    # In a thread, as the main one may hold a lock that `cancel` needs. The commands end as after ^C.
    signal(TERM, lambda *_: start_new_thread(machine.cancel, ()))
    channel.emit(
        events.Hello(
            provision=__version__,
            wire=VERSION,
            python="{}.{}.{}".format(*sys.version_info),
            pid=os.getpid(),
            user=pwd.getpwuid(os.geteuid()).pw_name,
            root=machine.root,
            now=round(time.time(), 3),
            facts=facts(),
        )
    )
    try:
        done = _carry_out(machine, Request.parse(said))
    except Exception as error:
        failure = _unrecognized(said, error) if isinstance(error, Mismatch) else causes.explain(error)
        channel.emit(events.Error(finding=failure.finding))
        done = events.Done(ok=False)
    machine.settle()
    done.seconds = round(time.monotonic() - started, 3)
    channel.emit(done)
    out.flush()
    # Threads may still wait in a cancelled command; all that matters has been written and sent.
    os._exit(0 if done.ok else 1)


if __name__ == "__main__":
    sys.exit(main(sys.stdin.buffer.read()))
