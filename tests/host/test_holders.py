"""Whose a process is that holds memory of a GPU."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from provision.host.services.gpus.memory import service_of

WAITS = "print(1, flush=True); input()"
CHILD = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {WAITS!r}], env={{}})"


@pytest.fixture
def parent() -> Iterator[subprocess.Popen[bytes]]:
    """A process of the service chat, whose child has no variables, as one that has given itself a title."""
    env = {**os.environ, "PROVISION_SERVICE": "chat"}
    with subprocess.Popen(
        [sys.executable, "-c", CHILD], env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout
        assert process.stdin
        process.stdout.readline()
        yield process
        process.stdin.close()


def test_a_worker_belongs_to_the_service_of_its_server(parent: subprocess.Popen[bytes]) -> None:
    (child,) = map(int, Path(f"/proc/{parent.pid}/task/{parent.pid}/children").read_text().split())
    assert "PROVISION_SERVICE" not in Path(f"/proc/{child}/environ").read_text()
    assert service_of(parent.pid) == "chat"
    assert service_of(child) == "chat"


def test_others_belong_to_none() -> None:
    assert service_of(os.getpid()) is None
    assert service_of(1) is None
