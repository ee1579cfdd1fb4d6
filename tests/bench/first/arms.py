"""The ways from a bare host to an answer, and how long each step of them took."""

from __future__ import annotations

import json
import shlex
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.lab import Hub, Lab, LabError, LabHost

HERE = Path(__file__).parent
PREFIX = "/opt/provision"

STEPS = ("apt", "venv", "packages", "model", "start")
"""What is told of every way; the rest is the difference to the whole."""


@dataclass
class Run:
    """One way gone on one fresh host.

    Args:
        arm: which way.
        seconds: from the first command to the first answer.
        steps: seconds of each of `STEPS`; those of provision may overlap.
    """

    arm: str
    seconds: float = 0.0
    steps: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Place:
    """Where a way leaves the environment and the model."""

    python: str
    model: str


class ByHand:
    """The script, over ssh."""

    name = "by hand"
    place = Place("/root/vllm/bin/python", "/root/model")

    def run(self, lab: Lab, host: LabHost, hub: Hub) -> Run:
        """Go the whole way."""
        script = (HERE / "by_hand.sh").read_text(encoding="utf-8")
        remote = shlex.join(["bash", "-ec", script, "by_hand.sh", hub.url])
        begun = time.monotonic()
        marks: list[tuple[str, float]] = []
        for line, now in _lines(["ssh", "-F", str(lab.ssh_config), host.name, remote]):
            if line.startswith("@step "):
                marks.append((line.split()[1], now))
        end = time.monotonic()
        ends = [now for _, now in marks[1:]] + [end]
        steps = {name: after - now for (name, now), after in zip(marks, ends, strict=True)}
        return Run(self.name, end - begun, steps)


class Applied:
    """`provision apply`.

    Args:
        name: what to call it.
        installer: the environment's `installer`.
    """

    place = Place(
        f"{PREFIX}/environments/vllm/bin/python",
        f"{PREFIX}/models/deepseek-ai/DeepSeek-R1-Distill-Qwen-1.5B",
    )

    def __init__(self, name: str, installer: str) -> None:
        self.name = name
        self.installer = installer

    def run(self, lab: Lab, host: LabHost, hub: Hub) -> Run:
        """Go the whole way."""
        argv = [sys.executable, "-m", "provision", "apply", str(HERE / "vllm.yml"), "--yes"]
        argv += ["--output", "json", "-i", str(lab.inventory), "--limit", host.name]
        argv += ["-e", f"hub={hub.url}", "-e", f"installer={self.installer}"]
        begun = time.monotonic()
        events = [(json.loads(line), now) for line, now in _lines(argv) if line.startswith("{")]
        end = time.monotonic()
        return Run(self.name, end - begun, _steps(events, end))


def _steps(events: list[tuple[dict[str, Any], float]], end: float) -> dict[str, float]:
    began = {event["id"]: now for event, now in events if event["event"] == "started"}
    ended = {event["id"]: now for event, now in events if event["event"] == "result"}
    environment = "environment:vllm"
    # The first line tells that the environment is made, the second is the installer's.
    said = [now for event, now in events if event["event"] == "output" and event["id"] == environment]
    return {
        "apt": ended["apt"] - began["apt"],
        "venv": said[1] - began[environment],
        "packages": ended[environment] - said[1],
        "model": ended["model:r1-1.5b"] - began["model:r1-1.5b"],
        "start": end - began["unit:r1-1.5b"],
    }


ARMS: dict[str, ByHand | Applied] = {
    "by hand": ByHand(),
    "provision": Applied("provision", "auto"),
    "provision with pip": Applied("provision with pip", "pip"),
}


def _lines(argv: list[str]) -> Iterator[tuple[str, float]]:
    """Run a command and yield what it prints, each line with the time it came.

    Raises:
        LabError: it failed; the end of its output is quoted.
    """
    printed: list[str] = []
    with subprocess.Popen(
        argv,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        encoding="utf-8",
        errors="replace",
    ) as process:
        assert process.stdout is not None
        for line in process.stdout:
            printed.append(line)
            yield line, time.monotonic()
    if process.returncode != 0:
        raise LabError(f"{argv[0]} ended with {process.returncode}:\n{''.join(printed)[-4000:]}")
