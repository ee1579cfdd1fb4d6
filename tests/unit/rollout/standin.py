"""A host side of a test's own making, run here over a connection of a test's own making."""

from __future__ import annotations

import json
import shutil
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from provision.connect import Local
from provision.rollout.run import Summary, run
from provision.transport.archive import PACKAGE, ROOMS, Archive
from provision.transport.target import Limits, Target
from provision.wire.events import Done, Event, Note
from provision.wire.finding import Finding, fault
from provision.wire.survey import Answer

PATIENT = Limits(connect=120)
"""For tests of something else: a machine that stands still for a while has reached its hosts all the same."""

PRELUDE = """
import json, os, sys, time

def say(**event):
    os.write(1, json.dumps(event, separators=(",", ":")).encode() + b"\\n")

def hello():
    facts = dict(hostname="h", os="an OS", arch="x86_64", cpus=1, memory=1)
    us = dict(pid=os.getpid(), user="u", root=False, now=time.time(), facts=facts)
    say(event="hello", provision="0", wire=0, python="3", **us)

def finding(message):
    return dict(code="code", message=message)

def note(message):
    say(event="note", finding=finding(message))

def until_input_ends():
    while os.read(0, 4096):
        pass
"""


ASKS = """
hello()
nothing = dict.fromkeys(["driver", "cuda", "gpus"])
empty = dict.fromkeys(["holders", "models", "engines", "learned", "serving", "starting"], [])
for _ in range({questions}):
    say(event="surveyed", waits=True, **nothing, **empty)
    line = b""
    while not line.endswith(b"\\n"):
        data = os.read(0, 1 << 20)
        if not data:
            note("nobody is there")
            say(event="done", ok=False)
            return 1
        line += data
    note(line.decode().strip())
say(event="done", ok=True)
return 0
"""
"""A host side that asks, and notes what it is answered."""


def host_side(directory: Path, body: str) -> Archive:
    """Return an archive whose `main(request)` has this body, after `PRELUDE`."""
    package = directory / "provision"
    for room in ROOMS:
        (package / room).mkdir(parents=True)
    (package / "__init__.py").write_text("")
    (package / "host" / "__init__.py").write_text("")
    main = "def main(request, place):\n" + textwrap.indent(textwrap.dedent(body), "    ")
    (package / "host" / "main.py").write_text(PRELUDE + main)
    shutil.copy(PACKAGE / "host" / "modules.py", package / "host")
    return Archive(package)


def asks(directory: Path, questions: int = 1) -> Archive:
    """Return a host side that asks so often, and notes what it is answered."""
    return host_side(directory, ASKS.replace("{questions}", str(questions)))


@dataclass(frozen=True)
class Raw:
    """A connection that executes one shell command instead of whatever script it is given."""

    command: str
    host: str = "raw"
    python: str = "python3"
    become: bool = False
    asks_password: bool = False

    def argv(self, script: str, patience: float = 15) -> list[str]:
        return ["sh", "-c", self.command]

    def explain(self, code: int, stderr: str) -> Finding:
        return fault("host-failed", f"exit {code}: {stderr.strip()}")

    def kept(self) -> bool:
        return True

    def multiplexed(self, script: str) -> None:
        """Each time another process."""

    def forget(self) -> None:
        pass

    def telling(self, stderr: str) -> None:
        """Nothing is hidden."""


def here(
    host: str = "here", request: bytes = b"{}", python: str = "python3", after: str | None = None
) -> Target:
    """Return a target on this machine."""
    return Target(Local(host=host, python=python), request, after=after)


def note(host: str, message: str) -> Note:
    """Return the event that `note` of a host side gives."""
    return Note(host=host, finding=Finding(code="code", message=message))


AGREED = note("", json.dumps(Answer(go=True).plain(), separators=(",", ":")))
"""What a host side of `asks` notes when it may go on."""


def ended(events: Sequence[Event]) -> Done:
    """Return the last event of a host side that has come to its end."""
    (done,) = (event for event in events if isinstance(event, Done))
    return done


def go(
    targets: Sequence[Target], archive: Archive | None, limits: Limits = PATIENT, forks: int | None = None
) -> tuple[Summary, list[Event]]:
    """Run, and return the summary and all events in the order of their arrival."""
    events: list[Event] = []
    summary = run(targets, forks, events.append, limits=limits, archive=archive)
    return summary, events
