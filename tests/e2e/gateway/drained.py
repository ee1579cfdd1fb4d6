"""Services behind a gateway on three hosts, whose change a test watches from a client's side."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.e2e.command import REPOSITORY, Answer, Provision
from tests.e2e.gateway.client import Client
from tests.e2e.gateway.load import Load
from tests.lab import Lab

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
        """Return HAProxy's word for each server."""
        socket = "/run/provision-gateway/admin.sock"
        shown = self.sh(f"python3 /opt/provision/haproxy_admin.py {socket} show")
        return {line.split()[0]: line.split()[1] for line in shown.splitlines()}

    def await_all_in(self, seconds: float = 60) -> None:
        """Wait until every server is up, and nothing holds one out."""
        last = time.monotonic() + seconds
        while set(self.states().values()) != {"UP"} or self.sh(KEEPERS):
            assert time.monotonic() < last, (self.states(), self.sh(KEEPERS))
            time.sleep(0.3)

    def load(self, clients: int = 6, **asked: Any) -> Load:
        named = {name: value for name, value in asked.items() if name == "model"}
        return Load(self.client, clients=clients, asked={**LONG, **asked}, short=2, asked_short=named)

    def apply_until(
        self, options: list[str], reached: Callable[[dict[str, Any]], bool], pause: float = 0
    ) -> list[dict[str, Any]]:
        """Begin an apply, kill it as soon as an event is there, and return the events until then."""
        argv = [sys.executable, "-m", "provision", "apply", str(self.playbook), "--yes", "--output", "json"]
        seen: list[dict[str, Any]] = []
        with subprocess.Popen(
            [*argv, *options, *self.options],
            cwd=self.folder,
            env={**os.environ, **self.env},
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
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
        return seen


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
