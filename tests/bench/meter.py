"""What a run costs the controller: wall time, CPU, memory, bytes sent. Daemons that it leaves count, too."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import threading
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
        alone: the most that the tool's own first process held, in bytes.
        at_once: the most processes at one time, those of kept connections included.
        open_files: the most files that the first process had open.
        sent: bytes that went to the hosts, all headers included.
        output: what was printed, standard error included.
    """

    seconds: float
    cpu: float
    memory: int
    alone: int
    at_once: int
    open_files: int
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
        process = subprocess.Popen(
            command,
            env={**_clean(os.environ), **env},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
        )
        with _Watch(process.pid, self.directories[-1]) as watch, process:
            try:
                output, _ = process.communicate(timeout=timeout)
            except BaseException:
                process.kill()
                raise
        seconds = time.monotonic() - begun
        if process.returncode != 0:
            raise LabError(f"{shlex.join(argv)} ended with {process.returncode}:\n{output[-4000:]}")
        return Cost(
            seconds,
            self._cpu() - cpu,
            self._peak(),
            watch.alone,
            watch.at_once,
            watch.open_files,
            _sent(lab) - sent,
            output,
        )

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


class _Watch:
    """Looks at a process and its control group every so often, while it is entered."""

    _PAUSE = 0.02

    def __init__(self, pid: int, group: Path) -> None:
        self.alone = self.at_once = self.open_files = 0
        self._process = Path("/proc", str(pid))
        self._members = group / "cgroup.procs"
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)

    def __enter__(self) -> _Watch:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _look(self) -> None:
        while not self._over.wait(self._PAUSE):
            self.at_once = max(self.at_once, len(self._members.read_text(encoding="ascii").split()))
            try:
                # Not the rusage of the process: that begins with what its parent held when it forked.
                status = (self._process / "status").read_text(encoding="utf-8")
                self.open_files = max(self.open_files, len(os.listdir(self._process / "fd")))
            except OSError:
                continue  # it has ended
            found = re.search(r"VmHWM:\s*(\d+) kB", status)
            self.alone = max(self.alone, int(found[1]) * 1024 if found else 0)


def _clean(environment: Mapping[str, str]) -> dict[str, str]:
    """Return an environment in which every Python behaves as installed, bytecode and buffers included."""
    return {name: value for name, value in environment.items() if not name.startswith("PYTHON")}


def _stat(path: Path) -> dict[str, int]:
    lines = path.read_text(encoding="ascii").splitlines()
    return {key: int(value) for key, _, value in (line.partition(" ") for line in lines)}


def _sent(lab: Lab) -> int:
    counter = Path("/sys/class/net", lab.network.bridge, "statistics/tx_bytes")
    return int(counter.read_text(encoding="ascii"))
