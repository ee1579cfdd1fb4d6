"""``python -m tests.bench.waves``: many hosts changed in waves, and the same by hand, one wave after another.

Every host has the service of the other benchmarks; a value of it changes, so that each host writes a file,
restarts and proves. `in waves` is one apply with ``--serial``. `one by one` is an apply for each wave, with
``--limit``, one after another: the time that the waves need by themselves. Both take turns.
Only the ratio means something: hosts and controller share one machine. Needs what the lab needs (root,
nspawn).
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

from tests.lab import Lab, LabError

from .hosts import BenchBase, settle

WORK = Path(__file__).with_name("work") / "provision.yml"


class Fleet:
    """The hosts, and the command line that changes them."""

    def __init__(self, lab: Lab, names: list[str], serial: int) -> None:
        self.lab, self.names, self.serial = lab, names, serial
        self.word = 0

    def change(self) -> str:
        """Return a value that no host has yet."""
        self.word += 1
        return f"w{self.word}"

    def apply(self, word: str, *options: str) -> list[dict[str, object]]:
        """Apply, and return the events; each has the seconds since the beginning as `at`."""
        argv = [sys.executable, "-m", "provision", "apply", str(WORK), "--yes", "--output", "json"]
        argv += ["-i", str(self.lab.inventory), "-e", f"message={word}", *options]
        begun = time.monotonic()
        events = []
        with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            for line in process.stdout:
                events.append({**json.loads(line), "at": time.monotonic() - begun})
        if process.returncode != 0:
            raise LabError(f"provision ended with {process.returncode}: {events[-3:]}")
        return events

    def in_waves(self) -> tuple[float, int, int]:
        """Change all in waves; return seconds, the number of waves, and the most executions of a host."""
        begun = time.monotonic()
        events = self.apply(self.change(), "--serial", str(self.serial))
        seconds = time.monotonic() - begun
        waves = [event for event in events if event["event"] == "wave"]
        executions = [event["executions"] for event in events if event["event"] == "done"]
        return seconds, len(waves), max(int(str(each)) for each in executions)

    def one_by_one(self) -> float:
        """Change the hosts of each wave by an apply of their own; return the seconds of all."""
        word = self.change()
        begun = time.monotonic()
        for first in range(0, len(self.names), self.serial):
            self.apply(word, "--limit", ",".join(self.names[first : first + self.serial]))
        return time.monotonic() - begun


def main(arguments: list[str] | None = None) -> int:
    """Parse the command line, measure, report."""
    options = _options(arguments)
    try:
        with Lab(f"waves-{os.getpid()}", owned=True) as lab:
            lab.up(0)
            names = [f"h{number}" for number in range(1, options.hosts + 1)]
            settle(lab.add(*names, base=BenchBase()))
            fleet = Fleet(lab, names, options.serial)
            fleet.apply(fleet.change())
            together, alone = [], []
            for number in range(options.rounds):
                print(f"round {number + 1}: load {os.getloadavg()[0]:.1f}", file=sys.stderr, flush=True)
                together.append(fleet.in_waves())
                alone.append(fleet.one_by_one())
    except LabError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    waves = statistics.median(seconds for seconds, _, _ in together)
    single = statistics.median(alone)
    _, number, executions = together[-1]
    print(f"{options.hosts} hosts, {options.serial} in a wave: {number} waves, {options.rounds} rounds")
    print(f"in waves {waves:.1f} s, one by one {single:.1f} s: {waves / single:.2f} ×")
    print(f"executions on each host: {executions}")
    return 0


def _options(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.waves", description=__doc__)
    parser.add_argument("--hosts", type=int, default=50, help="how many (default: 50)")
    parser.add_argument("--serial", type=int, default=5, help="how many in a wave (default: 5)")
    parser.add_argument("--rounds", type=int, default=3, help="medians are shown (default: 3)")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
