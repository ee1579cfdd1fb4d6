"""The README's two commands, on a fresh clone, in a home of its own."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.command import REPOSITORY
from tests.lab.process import ProcessId

pytestmark = pytest.mark.slow


class Clone:
    """A fresh clone and the make that runs in it."""

    def __init__(self, root: Path) -> None:
        self.path = root / "provision"
        self.home = root / "home"
        self.home.mkdir()
        subprocess.run(["git", "clone", "--quiet", REPOSITORY, self.path], check=True)

    def make(self, target: str) -> str:
        """Run one target and return what it printed."""
        done = subprocess.run(
            ["make", "--no-print-directory", target],
            cwd=self.path,
            env={**os.environ, "HOME": str(self.home)},
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
            check=False,
            timeout=1500,
        )
        assert done.returncode == 0, done.stdout[-5000:] + done.stderr[-5000:]
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


def test_one_command_ends_with_an_answer_from_vllm(clone: Clone) -> None:
    out = clone.make("quickstart")
    assert "> 你好" in out
    assert "< 你好！我是由 provision 部署" in out
    assert "http://127.0.0.1:" in out
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
