"""Runs that are cut off: by ^C, by a killed host side, by a killed ssh. What is left, and what is said."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.e2e.command import REPOSITORY
from tests.e2e.terminal import Terminal
from tests.lab import Lab


def until(true: Callable[[], object]) -> None:
    deadline = time.monotonic() + 120
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.1)


def playbook(folder: Path, host: str, command: str) -> Path:
    path = folder / "play.yml"
    path.write_text(
        f"- hosts: {host}\n  commands: {{slow: {{run: {json.dumps(command)}, unless: 'false'}}}}\n"
    )
    return path


def running(mark: str) -> bool:
    return subprocess.run(["pgrep", "-f", f"^sleep {mark}"], capture_output=True, check=False).returncode == 0


@pytest.mark.parametrize("times", [1, 2])
def test_ctrl_c_ends_a_command_that_ignores_sigterm(tmp_path: Path, times: int) -> None:
    mark = f"{uuid.uuid4().int % 10**9 + 10**9}"
    # The shell ends by SIGTERM; what it leaves in its group does not.
    command = f"(trap '' TERM; exec sleep {mark}) & wait"
    inventory = tmp_path / "hosts.yml"
    inventory.write_text(f"hosts: {{here: {{connection: local, prefix: {tmp_path / 'prefix'}}}}}\n")
    play = playbook(tmp_path, "here", command)
    env = {"PYTHONPATH": str(REPOSITORY), "XDG_RUNTIME_DIR": str(tmp_path)}
    with Terminal("apply", play, "-i", inventory, "--yes", cwd=tmp_path, env=env) as terminal:
        until(lambda: running(mark))
        for _ in range(times):
            terminal.interrupt()
        assert terminal.end() == 130, terminal.text
        assert "controller" not in terminal.text
        assert "cancelled" in terminal.text
    until(lambda: not running(mark))


@pytest.mark.lab
@pytest.mark.parametrize("times", [1, 2])
def test_after_ctrl_c_it_is_told_what_is_done_and_the_next_apply_does_the_rest(
    lab: Lab, tmp_path: Path, times: int
) -> None:
    path = tmp_path / "play.yml"
    path.write_text(f"""\
- hosts: h2
  files: {{/srv/early-{times}: {{content: "x\\n"}}}}
  commands:
    slow: {{run: "[ -e /srv/open-{times} ] || sleep 600; touch /srv/s-{times}", creates: /srv/s-{times}}}
    late: {{run: "touch /srv/late-{times}", creates: /srv/late-{times}}}
""")
    options = ["apply", path, "-i", lab.inventory, "--yes"]
    env = {"PYTHONPATH": str(REPOSITORY), "XDG_RUNTIME_DIR": str(tmp_path)}
    with Terminal(*options, cwd=tmp_path, env=env, columns=200) as terminal:
        terminal.until("command slow")
        until(lambda: (lab["h2"].root / f"srv/early-{times}").exists())
        for _ in range(times):
            terminal.interrupt()
            time.sleep(0.2)
        assert terminal.end() == 130, terminal.text
    assert "Stopped before the end: what is done stays done" in terminal.text
    if times == 1:
        assert "not done: command slow, command late" in terminal.text
    (lab["h2"].root / f"srv/open-{times}").touch()
    # After one ^C the host is free at once; after two it may need a moment.
    wait = ["--wait", "0"] if times == 1 else []
    with Terminal(*options, *wait, cwd=tmp_path, env=env, columns=200) as terminal:
        assert terminal.end() == 0, terminal.text
    assert (lab["h2"].root / f"srv/late-{times}").exists()


class Run:
    """An apply that runs a command on a host until something happens to it."""

    def __init__(self, inventory: Path, host: str, folder: Path) -> None:
        play = playbook(folder, host, f"sleep {uuid.uuid4().int % 10**9 + 10**9}")
        argv = ["apply", play, "-i", inventory, "--yes", "--output", "json"]
        self.process = subprocess.Popen(
            [sys.executable, "-m", "provision", *map(str, argv)],
            env={**os.environ, "PYTHONPATH": str(REPOSITORY), "XDG_RUNTIME_DIR": str(folder)},
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.hello: dict[str, Any] = {}
        assert self.process.stdout
        for line in self.process.stdout:
            event = json.loads(line)
            if event["event"] == "hello":
                self.hello = event
            if event["event"] == "started" and event["id"] == "command:slow":
                break

    def end(self) -> dict[str, Any]:
        """Return what is said in the end."""
        assert self.process.stdout
        with self.process:
            events = [json.loads(line) for line in self.process.stdout]
        return next(event for event in events if event["event"] == "unreachable")


@pytest.mark.lab
def test_a_host_side_that_is_killed_is_named(lab: Lab, tmp_path: Path) -> None:
    run = Run(lab.inventory, "h1", tmp_path)
    lab["h1"].exec(["kill", "-9", str(run.hello["pid"])])
    said = run.end()
    assert said["cause"] == "somebody or something on the host killed provision's process there (SIGKILL)"
    assert said["hint"].startswith(
        "what was done until then stays done; run again to go on; if the memory was full, "
    )
    lab["h1"].exec(["sh", "-c", "pkill -x sleep || true"])


@pytest.mark.lab
def test_an_ssh_that_is_killed_is_named(lab: Lab, tmp_path: Path) -> None:
    inventory = yaml.safe_load(lab.inventory.read_text())
    inventory["hosts"]["h1"]["ssh_options"].append(
        "ControlPath=none"
    )  # over a kept connection no ssh is started
    (tmp_path / "hosts.yml").write_text(yaml.safe_dump(inventory))
    run = Run(tmp_path / "hosts.yml", "h1", tmp_path)
    children = subprocess.check_output(["pgrep", "-P", str(run.process.pid), "-x", "ssh"], text=True).split()
    for child in children:
        os.kill(int(child), signal.SIGKILL)
    said = run.end()
    assert said["cause"] == "ssh on this machine was killed (SIGKILL)"
    assert said["hint"] == "what was done until then stays done; run again to go on"
