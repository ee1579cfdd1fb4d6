"""What a run costs the controller: wall time, CPU, memory, bytes sent. Daemons that it leaves count, too."""

from __future__ import annotations

import os
import shlex
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.lab import Lab, LabError

_ROOT = Path("/sys/fs/cgroup")
_PARENT = "provision-bench"


@dataclass(frozen=True)
class Cost:
    """One run.

    Args:
        seconds: wall time.
        cpu: seconds of all processes on the controller, ssh and its masters included.
        memory: the most that they held at any time, in bytes, without the page cache.
        sent: bytes that went to the hosts, all headers included.
        output: what was printed, standard error included.
    """

    seconds: float
    cpu: float
    memory: int
    sent: int
    output: str


class Meter:
    """A control group for one tool: what it leaves behind (kept connections) goes on counting as its own."""

    def __init__(self, name: str) -> None:
        self.unified = (_ROOT / "cgroup.controllers").exists()
        roots = [_ROOT] if self.unified else [_ROOT / "cpuacct", _ROOT / "memory"]
        self.directories = [root / _PARENT / name for root in roots]
        if self.unified:
            for above in (_ROOT, _ROOT / _PARENT):
                above.mkdir(exist_ok=True)
                (above / "cgroup.subtree_control").write_text("+cpu +memory", encoding="ascii")
        for directory in self.directories:
            directory.mkdir(parents=True, exist_ok=True)

    def run(self, argv: Sequence[str], env: Mapping[str, str], lab: Lab, timeout: float = 3600) -> Cost:
        """Run a command and measure it.

        Raises:
            LabError: it failed; its output is quoted.
        """
        joins = "\n".join(f"echo $$ >{path}/cgroup.procs" for path in self.directories)
        command = ["/bin/sh", "-ec", f"{joins}\nexec {shlex.join(argv)}"]
        self._reset_peak()
        cpu, sent, begun = self._cpu(), _sent(lab), time.monotonic()
        done = subprocess.run(
            command,
            env={**os.environ, **env},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=timeout,
            check=False,
            text=True,
            errors="replace",
        )
        seconds = time.monotonic() - begun
        cost = Cost(seconds, self._cpu() - cpu, self._peak(), _sent(lab) - sent, done.stdout)
        if done.returncode != 0:
            raise LabError(f"{shlex.join(argv)} ended with {done.returncode}:\n{done.stdout[-4000:]}")
        return cost

    def remove(self) -> None:
        """Remove the group, if nothing is left in it."""
        for directory in self.directories:
            for path in (directory, directory.parent):
                try:
                    path.rmdir()
                except OSError:
                    break

    def _cpu(self) -> float:
        if self.unified:
            return _stat(self.directories[0] / "cpu.stat")["usage_usec"] / 1e6
        return int((self.directories[0] / "cpuacct.usage").read_text(encoding="ascii")) / 1e9

    def _reset_peak(self) -> None:
        name = "memory.peak" if self.unified else "memory.max_usage_in_bytes"
        (self.directories[-1] / name).write_text("0", encoding="ascii")

    def _peak(self) -> int:
        memory = self.directories[-1]
        stat = _stat(memory / "memory.stat")
        name = "memory.peak" if self.unified else "memory.max_usage_in_bytes"
        files = stat["file"] if self.unified else stat["cache"]
        return max(0, int((memory / name).read_text(encoding="ascii")) - files)


def _stat(path: Path) -> dict[str, int]:
    lines = path.read_text(encoding="ascii").splitlines()
    return {key: int(value) for key, _, value in (line.partition(" ") for line in lines)}


def _sent(lab: Lab) -> int:
    counter = Path("/sys/class/net", lab.network.bridge, "statistics/tx_bytes")
    return int(counter.read_text(encoding="ascii"))
