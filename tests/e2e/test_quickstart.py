"""The README's two commands, on a fresh clone, in a home of its own.

Each run has a free port: the quickstart of the user who runs the tests may hold its own.
"""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.command import REPOSITORY
from tests.host.services import free_port
from tests.lab.process import ProcessId

pytestmark = pytest.mark.slow


class Clone:
    """A fresh clone and the make that runs in it."""

    def __init__(self, root: Path) -> None:
        self.path = root / "provision"
        self.home = root / "home"
        self.home.mkdir()
        self.port = free_port()
        subprocess.run(["git", "clone", "--quiet", REPOSITORY, self.path], check=True)

    def make(self, target: str, ok: bool = True) -> str:
        """Run one target and return what it printed; it succeeds, or fails when that is expected."""
        done = subprocess.run(
            ["make", "--no-print-directory", target],
            cwd=self.path,
            env={**os.environ, "HOME": str(self.home), "QUICKSTART_PORT": str(self.port)},
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
            check=False,
            timeout=1500,
        )
        assert (done.returncode == 0) is ok, done.stdout[-5000:] + done.stderr[-5000:]
        return done.stdout

    @property
    def pid(self) -> int:
        (file,) = (self.home / ".local/share/provision/run").glob("*.pid")
        return int(re.split(r"\D", file.read_text())[0])


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Clone]:
    root = tmp_path_factory.mktemp("quickstart")
    clone = Clone(root)
    try:
        yield clone
    finally:
        if (clone.path / ".venv/bin/provision").exists():
            clone.make("quickstart-remove")
        shutil.rmtree(root, ignore_errors=True)


def test_a_port_that_is_taken_is_said_with_the_way_out(clone: Clone) -> None:
    mine = clone.port
    with socket.create_server(("127.0.0.1", 0)) as squatter:
        clone.port = squatter.getsockname()[1]
        out = clone.make("quickstart", ok=False)
    assert f"needs port {clone.port}, which is held by " in out
    assert "make quickstart QUICKSTART_PORT=8012" in out
    clone.port = mine


def test_one_command_ends_with_an_answer_from_vllm(clone: Clone) -> None:
    out = clone.make("quickstart")
    assert "> 你好" in out
    assert "< 你好！我是由 provision 部署" in out
    assert f"http://127.0.0.1:{clone.port} " in out
    assert "stop: " in out


def test_the_same_again_changes_nothing(clone: Clone) -> None:
    pid = clone.pid
    out = clone.make("quickstart")
    assert "0 changed" in out
    assert "> 你好" in out
    assert clone.pid == pid


def test_it_goes_away_without_a_trace(clone: Clone) -> None:
    pid = clone.pid
    clone.make("quickstart-remove")
    assert ProcessId.of(pid) is None
    assert not (clone.home / ".local/share/provision").exists()
