"""``python -m tests.e2e.gateway.rolling``: the real vLLM on two hosts behind a gateway, changed under load.

Too long for a test: each change of vLLM is an installation and a start on each of two hosts. rolling.txt has
the output of the first step; for docs/rolling-change.md, the other changes were made by hand, one by one, and
this has not yet gone through all of them in one run. It needs a lab of three hosts (h1 to h3) and its hub,
on which fleet.yml was applied:

    python -m tests.lab up -n 3 --name fleet
    python -m tests.lab hub --name fleet
    python -m tests.e2e.gateway.rolling --lab fleet --hub URL

Each step changes a line of the playbook and applies it, while chat streams and short requests go through the
gateway. What each step has to leave behind is asserted; times are only told.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path

from tests.e2e.command import REPOSITORY
from tests.e2e.gateway.client import Client
from tests.e2e.gateway.load import Load, Request, summary
from tests.lab import Lab

PLAYBOOK = REPOSITORY / "tests/lab/playbooks/fleet.yml"
REPLICAS = ("h1", "h2")
FRONT = "h3"
SECRETS = {"R1_API_KEY": "sk-up", "ALICE_KEY": "sk-alice"}

STREAM = {"model": "r1-1.5b", "max_tokens": 400, "ignore_eos": True}
SHORT = {"model": "r1-1.5b", "max_tokens": 8}

BROKEN = ("torchcodec]", "torchcodec, prometheus-fastapi-instrumentator]")
"""vLLM imports without this package, checks its arguments and loads the model, but cannot serve."""


class Rolling:
    """The lab, and the playbook that is changed."""

    def __init__(self, lab: Lab, hub: str, folder: Path, think: float) -> None:
        self.lab, self.folder, self.think = lab, folder, think
        self.playbook = folder / "fleet.yml"
        self.playbook.write_text(PLAYBOOK.read_text())
        self.options = ["-i", str(lab.inventory), "-e", f"hub={hub}"]

    def edit(self, *edits: tuple[str, str]) -> None:
        """Change the playbook."""
        text = self.playbook.read_text()
        for old, new in edits:
            assert old in text, old
            text = text.replace(old, new)
        self.playbook.write_text(text)

    def apply(self, title: str, code: int = 0) -> None:
        """Apply the playbook under load; nothing may fail that clients ask for."""
        argv = [sys.executable, "-m", "provision", "apply", str(self.playbook), "--yes", *self.options]

        def apply() -> None:
            log = self.folder / f"{title.replace(' ', '-')}.log"
            with log.open("w") as out:
                ended = subprocess.run(
                    argv, stdout=out, stderr=out, check=False, cwd=REPOSITORY, env={**os.environ, **SECRETS}
                )
            assert ended.returncode == code, log.read_text()[-3000:]

        requests = self.under_load(title, apply)
        assert requests
        assert [each for each in requests if each.end != "whole"] == []

    def under_load(self, title: str, do: Callable[[], None]) -> list[Request]:
        """Do something while clients ask, tell how it went, and return the requests."""
        print(f"\n{title}", flush=True)
        began = time.monotonic()
        client = Client(self.lab[FRONT].address, 8080, SECRETS["ALICE_KEY"])
        load = Load(client, 2, STREAM, 1, SHORT, self.think, told=lambda each: print(f"  {each}"))
        with load:
            time.sleep(3)
            do()
            seconds = time.monotonic() - began
            time.sleep(3)
        log = self.sh(FRONT, f"journalctl -q -o cat -u provision-gateway --since=-{int(seconds) + 60}s")
        requests = load.attributed(log)
        told = "\n  ".join(summary(requests).splitlines())
        print(f"  {seconds:.0f} s\n  {told}\n  {self.shown()}", flush=True)
        return requests

    def sh(self, host: str, script: str) -> str:
        return self.lab[host].exec(["sh", "-c", script]).stdout.strip()

    def version(self, host: str) -> str:
        with urllib.request.urlopen(f"http://{self.lab[host].address}:8002/version", timeout=60) as answer:
            return str(json.load(answer)["version"])

    def pid(self, host: str) -> str:
        return self.sh(host, "systemctl show -p MainPID --value provision-r1-1.5b")

    def shown(self) -> str:
        """Return what runs on each replica, and the environments that are there."""
        return "; ".join(
            f"{host}: vLLM {self.version(host)}, pid {self.pid(host)}, environments "
            + self.sh(host, "ls -d /opt/provision/environments/vllm-* | xargs -n1 basename | paste -sd' '")
            for host in REPLICAS
        )


def main(arguments: list[str] | None = None) -> int:
    """Go through all steps."""
    parser = argparse.ArgumentParser(prog="python -m tests.e2e.gateway.rolling", description=__doc__)
    parser.add_argument("--lab", default="fleet", help="its name (default: fleet)")
    parser.add_argument("--hub", required=True, help="the address that the hub has printed")
    parser.add_argument("--think", type=float, default=1, help="seconds between requests (default: 1)")
    parser.add_argument("--logs", type=Path, help="where the output of each apply is kept")
    parser.add_argument("--steps", default="12345", help="go on with some of them (default: 12345)")
    options = parser.parse_args(arguments)
    folder = options.logs or Path(tempfile.mkdtemp(prefix="rolling-"))
    rolling = Rolling(Lab(options.lab), options.hub, folder, options.think)
    for number, step in enumerate((_value, _broken, _release, _back, _killed), 1):
        step(rolling, str(number) in options.steps)
    return 0


def _value(rolling: Rolling, run: bool) -> None:
    rolling.edit(("sequences: 4", "sequences: 8"))
    if run:
        rolling.apply("1 max_num_seqs 4 to 8")


def _broken(rolling: Rolling, run: bool) -> None:
    """Install a vLLM that cannot serve: the first host goes back, the second one is not touched."""
    rolling.edit(("release: 0.32.0", "release: 0.30.0"), BROKEN)
    if run:
        pid = rolling.pid("h2")
        rolling.apply("2 a vLLM 0.30.0 that cannot serve", code=1)
        assert {rolling.version(host) for host in REPLICAS} == {"0.32.0"}
        assert rolling.pid("h2") == pid


def _release(rolling: Rolling, run: bool) -> None:
    rolling.edit(BROKEN[::-1])
    if run:
        rolling.apply("3 vLLM 0.32.0 to 0.30.0")
        assert {rolling.version(host) for host in REPLICAS} == {"0.30.0"}


def _back(rolling: Rolling, run: bool) -> None:
    rolling.edit(("release: 0.30.0", "release: 0.32.0"))
    if run:
        rolling.apply("4 back to vLLM 0.32.0")
        assert {rolling.version(host) for host in REPLICAS} == {"0.32.0"}


def _killed(rolling: Rolling, run: bool) -> None:
    """Reload the gateway, and then kill one server: only what ran there may fail."""
    if not run:
        return

    def reload_and_kill() -> None:
        time.sleep(5)
        rolling.sh(FRONT, "systemctl reload provision-gateway")
        time.sleep(5)
        rolling.sh("h2", "systemctl kill -s KILL provision-r1-1.5b")
        last = time.monotonic() + 900
        while time.monotonic() < last:
            try:
                rolling.version("h2")
                return
            except OSError:
                time.sleep(1)

    requests = rolling.under_load("5 a reload of the gateway, then SIGKILL of h2's server", reload_and_kill)
    lost = [each for each in requests if each.end != "whole"]
    assert {each.server for each in lost} <= {"h2"}, lost
    assert len(lost) <= 3  # as many clients as there are


if __name__ == "__main__":
    sys.exit(main())
