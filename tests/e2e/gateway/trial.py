"""The real vLLM behind a gateway in a lab, whose playbook is changed while clients ask."""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.e2e.command import REPOSITORY
from tests.e2e.gateway.client import Client
from tests.e2e.gateway.drained import KEEPERS, Step, killed_at, states
from tests.e2e.gateway.load import Load, Request, summary
from tests.lab import Lab

PLAYBOOK = REPOSITORY / "tests/lab/playbooks/fleet.yml"
SERVICE = "r1-1.5b"
FRONT = "h3"
SECRETS = {"R1_API_KEY": "sk-up", "ALICE_KEY": "sk-alice"}

SHORT = {"model": SERVICE, "max_tokens": 8}


def options(name: str, about: str | None) -> argparse.ArgumentParser:
    """Return the options that all trials have."""
    parser = argparse.ArgumentParser(prog=f"python -m tests.e2e.gateway.{name}", description=about)
    parser.add_argument("--lab", default="fleet", help="its name (default: fleet)")
    parser.add_argument("--hub", required=True, help="the address that the hub has printed")
    parser.add_argument("--think", type=float, default=1, help="seconds between requests (default: 1)")
    parser.add_argument(
        "--tokens", type=int, default=400, help="of a stream, which must end within the drain (default: 400)"
    )
    parser.add_argument("--logs", type=Path, help="where the output of each apply is kept")
    parser.add_argument("--replicas", default="h1,h2", help="the hosts with vLLM (default: h1,h2)")
    return parser


class Trial:
    """The lab, and the playbook that is changed."""

    def __init__(self, given: argparse.Namespace) -> None:
        self.lab = Lab(given.lab)
        self.replicas: list[str] = given.replicas.split(",")
        self.think: float = given.think
        self.stream = {"model": SERVICE, "max_tokens": given.tokens, "ignore_eos": True}
        self.folder = given.logs or Path(tempfile.mkdtemp(prefix="trial-"))
        self.folder.mkdir(parents=True, exist_ok=True)
        self.playbook = self.folder / "fleet.yml"
        self.playbook.write_text(PLAYBOOK.read_text())
        self.edit(("hosts: [h1, h2]", f"hosts: [{', '.join(self.replicas)}]"))
        self.options = ["-i", str(self.lab.inventory), "-e", f"hub={given.hub}"]

    @property
    def env(self) -> dict[str, str]:
        """The environment of `provision`."""
        return {**os.environ, **SECRETS}

    def edit(self, *edits: tuple[str, str]) -> None:
        """Change the playbook."""
        text = self.playbook.read_text()
        for old, new in edits:
            assert old in text, old
            text = text.replace(old, new)
        self.playbook.write_text(text)

    def apply(self, title: str, code: int = 0, when_out: Callable[[], object] = lambda: None) -> None:
        """Apply the playbook, which must end with this exit code, and do something when a server is out."""
        log = self.folder / f"{title.replace(' ', '-')}.log"
        argv = [sys.executable, "-m", "provision", "apply", str(self.playbook), "--yes", *self.options]
        with (
            log.open("w") as out,
            subprocess.Popen(argv, stdout=out, stderr=out, cwd=REPOSITORY, env=self.env) as running,
        ):
            while running.poll() is None and "is out of rotation" not in log.read_text():
                time.sleep(1)
            when_out()
        assert running.returncode == code, log.read_text()[-3000:]

    def apply_under_load(
        self, title: str, code: int = 0, when_out: Callable[[], object] = lambda: None
    ) -> None:
        """Apply the playbook under load; nothing may fail that clients ask for."""
        with self.load(title) as requests:
            self.apply(title, code, when_out)
        lossless(requests)

    def reload(self) -> None:
        """Let the gateway begin anew with its configuration."""
        self.sh(FRONT, "systemctl reload provision-gateway")

    def kill_apply_at(self, step: Step, host: str) -> None:
        """Begin to apply, and kill the controller when a host has come to a step."""
        argv = [sys.executable, "-m", "provision", "apply", str(self.playbook), "--yes", *self.options]
        killed_at(
            [*argv, "--output", "json"],
            lambda event: event.get("host") == host and step.reached(event),
            step.pause,
            REPOSITORY,
            self.env,
        )

    @contextmanager
    def load(self, title: str) -> Iterator[list[Request]]:
        """Ask all the time of a block, tell how it went, and give the requests once it has ended."""
        print(f"\n{title}", flush=True)
        began = time.monotonic()
        client = Client(self.lab[FRONT].address, 8080, SECRETS["ALICE_KEY"])
        load = Load(
            client, 2, self.stream, 1, SHORT, self.think, told=lambda each: print(f"  {each}", flush=True)
        )
        requests: list[Request] = []
        with load:
            time.sleep(3)
            yield requests
            seconds = time.monotonic() - began
            time.sleep(3)
        past = int(time.monotonic() - began) + 60  # also the time that the last streams took to end
        log = self.sh(FRONT, f"journalctl -q -o cat -u provision-gateway --since=-{past}s")
        requests += load.attributed(log)
        told = "\n  ".join(summary(requests).splitlines())
        print(f"  {seconds:.0f} s, load of the machine {os.getloadavg()[0]:.0f}\n  {told}\n  {self.shown()}")

    def sh(self, host: str, script: str) -> str:
        """Return what a script prints on a host."""
        return self.lab[host].exec(["sh", "-c", script]).stdout.strip()

    def version(self, host: str) -> str:
        """Return the version of vLLM that serves on a host."""
        with urllib.request.urlopen(f"http://{self.lab[host].address}:8002/version", timeout=60) as answer:
            return str(json.load(answer)["version"])

    def running(self, host: str) -> int:
        """Return how many requests the vLLM of a host works on."""
        request = urllib.request.Request(
            f"http://{self.lab[host].address}:8002/metrics",
            headers={"Authorization": f"Bearer {SECRETS['R1_API_KEY']}"},
        )
        with urllib.request.urlopen(request, timeout=60) as answer:
            found = re.search(rb"^vllm:num_requests_running\{.*\} ([\d.]+)", answer.read(), re.MULTILINE)
        return int(float(found[1])) if found else 0

    def pid(self, host: str) -> str:
        """Return the process that serves on a host."""
        return self.sh(host, f"systemctl show -p MainPID --value provision-{SERVICE}")

    def sequences(self, host: str) -> int:
        """Return the `max_num_seqs` of the server that runs on a host."""
        words = self.sh(host, f"tr '\\0' ' ' < /proc/{self.pid(host)}/cmdline")
        return int(words.partition("--max-num-seqs")[2].split()[0].lstrip("="))

    def await_all_in(self, seconds: float) -> float:
        """Wait until every server is up, and nothing holds one out; return the seconds that it took."""
        began = time.monotonic()
        wait_until(
            lambda: set(states(self.lab[FRONT]).values()) == {"UP"} and not self.sh(FRONT, KEEPERS), seconds
        )
        return time.monotonic() - began

    def shown(self) -> str:
        """Return what runs on each replica, and the environments that are there."""
        return "; ".join(
            f"{host}: vLLM {self.version(host)}, pid {self.pid(host)}, environments "
            + self.sh(host, "ls -d /opt/provision/environments/vllm-* | xargs -n1 basename | paste -sd' '")
            for host in self.replicas
        )


def lossless(requests: list[Request]) -> None:
    """Assert that requests were made, and each was answered whole."""
    assert requests
    assert [each for each in requests if each.end != "whole"] == []


def wait_until(condition: Callable[[], bool], seconds: float) -> None:
    """Look once a second whether a condition holds, until it does."""
    last = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < last, f"not within {seconds:.0f} s"
        time.sleep(1)
