"""Services behind a gateway on three hosts, whose change a test watches from a client's side."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from tests.e2e.command import REPOSITORY, Answer, Provision
from tests.e2e.gateway.client import Client
from tests.e2e.gateway.load import Load
from tests.lab import Lab, LabHost

UPSTREAM = Path(__file__).with_name("upstream.py")

KEEPERS = "systemctl list-units --plain --no-legend 'provision-out-*' | cut -d' ' -f1"

LONG = {"n": 10, "gap": 0.3}
"""A stream of three seconds."""


class Site:
    """A gateway, replicas of a service behind it, and their playbook."""

    def __init__(self, folder: Path, lab: Lab, front: str, replicas: list[str], text: str) -> None:
        lab.add(front, *replicas)
        self.lab, self.folder = lab, folder
        self.names = replicas
        self.front = lab[front]
        self.options = ["-i", str(lab.inventory)]
        self.env = {"ALICE": "sk-alice-1", "UP": "up-1", "PYTHONPATH": str(REPOSITORY)}
        self.provision = Provision(self.options, self.env, folder)
        self.playbook = folder / "site.yml"
        self.playbook.write_text(text)
        self.client = Client(self.front.address, 8080, self.env["ALICE"])
        self.word = 0

    def close(self) -> None:
        self.lab.remove(self.front.name, *self.names)

    def change(self) -> list[str]:
        """Return the options of an apply that restarts every replica."""
        self.word += 1
        return self.changed()

    def changed(self) -> list[str]:
        """Return the same options once more."""
        return ["-e", f"word=w{self.word}"]

    def sh(self, script: str, host: str | None = None) -> str:
        return self.lab[host or self.front.name].exec(["sh", "-c", script]).stdout.strip()

    def pid(self, host: str, service: str = "chat") -> str:
        return self.sh(f"systemctl show -p MainPID --value provision-{service}", host)

    def states(self) -> dict[str, str]:
        return states(self.front)

    def await_all_in(self, seconds: float = 60) -> None:
        """Wait until every server is up, and nothing holds one out."""
        last = time.monotonic() + seconds
        while set(self.states().values()) != {"UP"} or self.sh(KEEPERS):
            assert time.monotonic() < last, (self.states(), self.sh(KEEPERS))
            time.sleep(0.3)

    def load(self, clients: int = 6, **asked: Any) -> Load:
        named = {name: value for name, value in asked.items() if name == "model"}
        return Load(self.client, clients=clients, asked={**LONG, **asked}, short=2, asked_short=named)

    def apply_until(self, options: list[str], step: Step) -> None:
        """Begin an apply, and kill the controller as soon as it has come to a step."""
        argv = [sys.executable, "-m", "provision", "apply", str(self.playbook), "--yes", "--output", "json"]
        killed_at(
            [*argv, *options, *self.options],
            step.reached,
            step.pause,
            self.folder,
            {**os.environ, **self.env},
        )


Event = dict[str, Any]


class Step(NamedTuple):
    """A step of a drained restart: the event that it begins with, and some seconds."""

    title: str
    reached: Callable[[Event], bool]
    pause: float = 0


def steps(service: str, stops: float = 0.8) -> list[Step]:
    """Return the steps of a drained restart; `stops`: seconds after which the server is stopping."""

    def event(name: str, **fields: Any) -> Callable[[Event], bool]:
        return lambda given: given["event"] == name and all(given[key] == fields[key] for key in fields)

    out = event("rotated", out=True)
    return [
        Step("before it is out", event("leave")),
        Step("out", out),
        Step("while it stops", out, stops),
        Step("started", event("result", id=f"unit:{service}")),
        Step("proven", event("proof")),
        Step("while it comes back", event("return")),
        Step("back", event("rotated", out=False)),
    ]


def killed_at(
    argv: list[str], reached: Callable[[Event], bool], pause: float, folder: Path, env: Mapping[str, str]
) -> None:
    """Run a controller, and kill it some seconds after an event is there."""
    seen: list[Event] = []
    with subprocess.Popen(
        argv, cwd=folder, env=dict(env), stdout=subprocess.PIPE, text=True, start_new_session=True
    ) as running:
        assert running.stdout
        for line in running.stdout:
            seen.append(json.loads(line))
            if reached(seen[-1]):
                break
        else:
            raise AssertionError(f"the event did not come: {seen[-5:]}")
        time.sleep(pause)
        # With the ssh processes that it has started: the connections break as when its machine dies.
        os.killpg(running.pid, signal.SIGKILL)


def states(front: LabHost) -> dict[str, str]:
    """Return HAProxy's word for each server of a gateway."""
    shown = front.exec(
        ["python3", "/opt/provision/haproxy_admin.py", "/run/provision-gateway/admin.sock", "show"]
    )
    return {line.split()[0]: line.split()[1] for line in shown.stdout.splitlines()}


def rotated(answer: Answer) -> list[tuple[str, bool]]:
    """Return which hosts left the rotation (True) and came back (False), in their order."""
    return [(event["host"], event["out"]) for event in answer.event("rotated")]


def when(condition: Callable[[], bool], do: Callable[[], object]) -> threading.Thread:
    """Do something once, as soon as a condition holds; looks ten times a second for a minute."""

    def watch() -> None:
        last = time.monotonic() + 60
        while time.monotonic() < last:
            if condition():
                do()
                return
            time.sleep(0.1)

    thread = threading.Thread(target=watch)
    thread.start()
    return thread
