"""``python -m tests.bench.first``: a bare host's way to vLLM's first answer, typed by hand and applied.

Each way gets a fresh host in each round, one after another in changing order. No host has a cache of pip's or
apt's; what the line, a mirror and this machine's page cache hold is the same for all. The outcomes have to be
the same: every package's version and files, the model's files, the answer to a question.
Only the ratios of one run mean something. Needs what the lab needs (root, nspawn).
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
from dataclasses import asdict
from pathlib import Path

from tests.lab import Hub, Lab, LabError
from tests.lab.models import hub_root

from . import report
from .arms import ARMS, Run
from .outcome import Outcome, compare, outcome


def main(arguments: list[str] | None = None) -> int:
    """Parse the command line, measure, report."""
    options = _options(arguments)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    runs = _kept(options.json)
    try:
        with Lab(f"first-{os.getpid()}", owned=True) as lab:
            lab.up(0)
            with Hub(hub_root(), address=lab.network.gateway) as hub:
                for _ in range(options.rounds):
                    _round(lab, hub, _turned(options.arms, len(runs) // len(options.arms)), runs)
                    if options.json:
                        options.json.write_text(json.dumps([asdict(run) for run in runs], indent=1) + "\n")
    except LabError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    print(report.markdown(runs, ARMS, "by hand"))
    return 0


def _round(lab: Lab, hub: Hub, arms: list[str], runs: list[Run]) -> None:
    outcomes: dict[str, Outcome] = {}
    for name in arms:
        arm = ARMS[name]
        (host,) = lab.add(f"r{len(runs)}")
        host.exec(["sed", "-i", "/^cache-dir/d", "/etc/pip.conf"])  # which all hosts of all labs share
        run = arm.run(lab, host, hub)
        steps = ", ".join(f"{step} {seconds:.1f}" for step, seconds in run.steps.items())
        print(f"  {name:18} {run.seconds:7.1f} s ({steps})", file=sys.stderr, flush=True)
        outcomes[name] = outcome(host, arm.place)
        compare(name, outcomes[name], arms[0], outcomes[arms[0]])
        lab.remove(host.name)
        runs.append(run)


def _turned(arms: list[str], number: int) -> list[str]:
    start = number % len(arms)
    return arms[start:] + arms[:start]


def _kept(path: Path | None) -> list[Run]:
    """Return the runs that the file holds already."""
    if path is None or not path.exists():
        return []
    return [Run(**run) for run in json.loads(path.read_text())]


def _options(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.first", description=__doc__)
    parser.add_argument("--rounds", type=int, default=3, help="medians are shown (default: 3)")
    parser.add_argument("--arms", type=_known, default=list(ARMS), help=", ".join(ARMS))
    parser.add_argument("--json", type=Path, help="add all numbers to those of this file")
    return parser.parse_args(arguments)


def _known(text: str) -> list[str]:
    words = [word.strip() for word in text.split(",")]
    for word in words:
        if word not in ARMS:
            raise argparse.ArgumentTypeError(f"{word}: choose from {', '.join(ARMS)}")
    return words


if __name__ == "__main__":
    sys.exit(main())
