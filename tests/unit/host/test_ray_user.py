"""A program that needs a Ray cluster: it starts when the cluster is complete, and ends with it."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from provision.host.services.nodes import ray_user

SLEEP = [sys.executable, "-c", "import time; time.sleep(300)"]


class Scene:
    """The state file of a node, its process, and the one that watches it."""

    def __init__(self, folder: Path) -> None:
        self.state = folder / "node.json"
        self.log = folder / "log"
        self.children: list[subprocess.Popen[bytes]] = []

    def spawn(self, *words: str) -> subprocess.Popen[bytes]:
        with self.log.open("ab") as log:
            self.children.append(subprocess.Popen(words, stderr=log, stdout=log))
        return self.children[-1]

    def node(self) -> subprocess.Popen[bytes]:
        return self.spawn(*SLEEP, "--state", str(self.state))

    def say(self, node: subprocess.Popen[bytes], phase: str, *missing: str) -> None:
        self.state.write_text(json.dumps({"pid": node.pid, "phase": phase, "missing": missing, "why": ""}))

    def user(self, *command: str) -> subprocess.Popen[bytes]:
        words = [
            sys.executable,
            "-I",
            ray_user.__file__,
            "chat",
            "--cluster",
            "c",
            "--state",
            str(self.state),
        ]
        return self.spawn(*words, *(["--", *command] if command else []))

    def until(self, done: Callable[[], object]) -> None:
        end = time.monotonic() + 60
        while not done():
            assert time.monotonic() < end, self.log.read_text()
            time.sleep(0.05)

    def told(self, text: str) -> None:
        """Wait until the log has it."""
        self.until(lambda: text in self.log.read_text())


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    made = Scene(tmp_path)
    yield made
    for child in made.children:
        child.kill()
        child.wait()


def test_it_waits_for_the_whole_cluster_and_passes_on_how_the_program_ends(scene: Scene) -> None:
    user = scene.user(sys.executable, "-c", "print('begun', flush=True); raise SystemExit(7)")
    scene.told("provision: chat: waits: Ray cluster c has not started on this host")
    node = scene.node()
    scene.say(node, "waiting", "gpu-2")
    scene.told("provision: chat: waits: Ray cluster c is waiting (missing: gpu-2)")
    assert "begun" not in scene.log.read_text()
    scene.say(node, "serving")
    assert user.wait(60) == 7
    assert "begun" in scene.log.read_text()


def test_the_program_ends_when_the_node_does(scene: Scene) -> None:
    node = scene.node()
    scene.say(node, "serving")
    user = scene.user(
        sys.executable,
        "-c",
        "import signal, sys, time\n"
        "signal.signal(signal.SIGTERM, lambda *_: (print('was told', flush=True), sys.exit(0)))\n"
        "print('begun', flush=True)\n"
        "time.sleep(300)",
    )
    scene.told("begun")
    node.kill()
    node.wait()
    assert user.wait(60) == 1
    scene.told("ends: Ray cluster c does not run on this host")
    assert "was told" in scene.log.read_text()


def test_it_ends_when_another_node_is_missing_or_its_own_starts_anew(scene: Scene) -> None:
    node = scene.node()
    scene.say(node, "serving")
    user = scene.user()
    scene.told("cluster c is complete")
    scene.say(node, "waiting", "gpu-2")
    assert user.wait(60) == 1
    scene.say(node, "serving")
    again = scene.user()
    scene.until(lambda: scene.log.read_text().count("cluster c is complete") == 2)
    scene.say(scene.node(), "serving")
    assert again.wait(60) == 1
    scene.told("ends: its node has started anew")


def test_a_pid_of_another_process_is_not_the_node(scene: Scene) -> None:
    scene.say(scene.spawn(*SLEEP), "serving")  # as after a boot
    scene.user(sys.executable, "-c", "print('begun')")
    scene.told("waits: Ray cluster c does not run on this host")
    assert "begun" not in scene.log.read_text()


@pytest.mark.parametrize("command", [(), tuple(SLEEP)])
def test_a_stop_ends_it_without_an_error(scene: Scene, command: tuple[str, ...]) -> None:
    scene.say(scene.node(), "serving")
    user = scene.user(*command)
    scene.told("cluster c is complete")
    if command:
        scene.until(lambda: Path(f"/proc/{user.pid}/task/{user.pid}/children").read_text().strip())
    user.terminate()
    assert user.wait(60) == (143 if command else 0)  # that of the program


def test_a_stop_while_it_waits_starts_nothing(scene: Scene) -> None:
    user = scene.user(sys.executable, "-c", "print('begun')")
    scene.told("waits:")
    user.terminate()
    assert user.wait(60) == 0
    assert "begun" not in scene.log.read_text()
