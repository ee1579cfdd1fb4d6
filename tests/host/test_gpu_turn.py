"""The turn on a GPU, taken by real start scripts on this machine; the GPU is one that nobody else names."""

from __future__ import annotations

import shlex
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from provision.host.services.gpus import gpu_turn
from tests.host.services import free_port

PROGRAM = Path(gpu_turn.__file__)
SERVER = Path(__file__).with_name("gpu_server.py")


class Card:
    """A GPU with start scripts of servers that load while a file is there."""

    def __init__(self, root: Path) -> None:
        self.name = f"GPU-{uuid.uuid4()}"
        self.root = root
        self.log = root / "log"
        self.slow = root / "log.slow"
        self.slow.touch()
        self.started: list[subprocess.Popen[str]] = []

    def start(
        self, name: str, *options: str, card: str | None = None, path: str = ""
    ) -> subprocess.Popen[str]:
        """Run a service's start script."""
        port = str(free_port())
        turn = [
            sys.executable,
            "-I",
            str(PROGRAM),
            name,
            "--cards",
            card or self.name,
            "--port",
            port,
            *options,
        ]
        serve = ["exec", sys.executable, str(SERVER), str(self.log), name, port]
        script = self.root / f"{name}.sh"
        script.write_text(f'PATH="{path}:$PATH"\n{shlex.join(turn)}\n{shlex.join(serve)}\n')
        process = subprocess.Popen(
            ["sh", str(script)],
            stderr=(self.root / f"{name}.err").open("w"),
            text=True,
            start_new_session=True,
        )
        self.started.append(process)
        return process

    def end(self, name: str, code: str = "") -> None:
        """Let a server finish loading, or fail."""
        (self.root / f"log.{name}").write_text(code)

    def until(self, *lines: str) -> None:
        """Wait until the servers have written this, and nothing else."""
        until(lambda: self.log.exists() and self.log.read_text().splitlines() == list(lines))

    def said(self, name: str, text: str) -> None:
        """Wait until a service has said something."""
        until(lambda: text in (self.root / f"{name}.err").read_text())


def until(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.05)


@pytest.fixture
def card(tmp_path: Path) -> Iterator[Card]:
    card = Card(tmp_path)
    yield card
    for process in card.started:
        process.kill()
        process.wait()
    until(lambda: gpu_turn.starting(card.name) is None)  # no process is left behind


def test_the_next_starts_when_the_one_before_is_up_or_has_failed(card: Card) -> None:
    card.start("a")
    card.until("a loads")
    card.start("b")
    card.said("b", f"b waits for GPU {card.name}, on which a is starting")
    card.end("a", "3")
    card.until("a loads", "a fails", "b loads")
    card.start("c")
    card.said("c", "on which b is starting")
    card.end("b")
    card.until("a loads", "a fails", "b loads", "b ready", "c loads")
    card.said("c", "of waiting for its turn")


def test_a_killed_server_gives_its_turn_up(card: Card) -> None:
    first = card.start("a")
    card.until("a loads")
    card.start("b")
    card.said("b", "waits")
    first.kill()
    first.wait()
    card.until("a loads", "b loads")


def test_one_that_is_not_ready_in_time_lets_others_start(card: Card) -> None:
    card.start("a", "--limit", "1")
    card.until("a loads")
    card.start("b")
    card.until("a loads", "b loads")
    card.said("a", "lets others start on its GPUs: it was not ready after 1 s")


def test_who_waits_ends_with_its_script(card: Card) -> None:
    card.start("a")
    card.until("a loads")
    waiting = card.start("b")
    card.said("b", "waits")
    waiting.kill()
    waiting.wait()
    card.end("a")
    card.until("a loads", "a ready")
    until(lambda: gpu_turn.starting(card.name) is None)  # nobody took the turn for b


def test_an_index_and_a_uuid_of_one_gpu_meet(card: Card) -> None:
    tool = card.root / "bin/nvidia-smi"
    tool.parent.mkdir()
    tool.write_text(f"#!/bin/sh\necho 'GPU 4711: NVIDIA H100 80GB HBM3 (UUID: {card.name})'\n")
    tool.chmod(0o755)
    card.start("a", card="4711")
    card.until("a loads")
    card.start("b", path=str(tool.parent))
    card.said("b", "b waits for GPU 4711, on which a is starting")
    card.end("a")
    card.until("a loads", "a ready", "b loads")


def test_cards_are_taken_in_one_order() -> None:
    assert gpu_turn.identified(["10", "9", "MIG-b", "9"]) == ["9", "10", "MIG-b"]
