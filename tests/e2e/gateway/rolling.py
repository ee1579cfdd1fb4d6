"""``python -m tests.e2e.gateway.rolling``: the real vLLM on two hosts behind a gateway, changed under load.

Too long for a test: each change of vLLM is an installation and a start on each of two hosts. rolling.txt has
what it printed. It needs a lab of three hosts (h1 to h3) and its hub, on which fleet.yml was applied:

    python -m tests.lab up -n 3 --name fleet
    python -m tests.lab hub --name fleet
    python -m tests.e2e.gateway.rolling --lab fleet --hub URL

Each step changes a line of the playbook and applies it, while chat streams and short requests go through the
gateway. What each step has to leave behind is asserted; times are only told.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from tests.e2e.gateway.hollow import MARK, hollow
from tests.e2e.gateway.trial import SERVICE, Trial, options, wait_until

OLD, NEW = "release: 0.32.0", "release: 0.30.0"
EXCLUDED = "torchcodec]"

INCOMPLETE = (EXCLUDED, "torchcodec, prometheus-fastapi-instrumentator]")
"""vLLM imports without this package, checks its arguments and loads the model, but cannot serve."""

WHEELS = "/srv/wheels"
HOLLOW = (EXCLUDED, f"{EXCLUDED}\n      find_links: [{WHEELS}]")

Step = Callable[[Trial, bool], None]
"""Changes the playbook, and, when it is to run, applies it and looks at what has become of it."""


def main(arguments: list[str] | None = None) -> int:
    """Go through all steps."""
    parser = options("rolling", __doc__)
    parser.add_argument("--steps", default="123456", help="go on with some of them (default: 123456)")
    given = parser.parse_args(arguments)
    trial = Trial(given)
    steps: list[Step] = [_value, _incomplete, _hollow, _release, _back, _killed]
    for number, step in enumerate(steps, 1):
        step(trial, str(number) in given.steps)
    return 0


def _value(trial: Trial, run: bool) -> None:
    trial.edit(("sequences: 4", "sequences: 8"))
    if run:
        title = "1 max_num_seqs 4 to 8, and a reload of the gateway when the first server is out"
        trial.apply_under_load(title, when_out=trial.reload)
        assert {trial.sequences(host) for host in trial.replicas} == {8}


def _incomplete(trial: Trial, run: bool) -> None:
    if run:
        trial.edit((OLD, NEW), INCOMPLETE)
        _in_vain(trial, "2 a vLLM 0.30.0 without a package that it needs")
        trial.edit((NEW, OLD), INCOMPLETE[::-1])


def _hollow(trial: Trial, run: bool) -> None:
    if run:
        with tempfile.TemporaryDirectory() as folder:
            wheel = hollow("0.30.0", Path(folder))
            for host in trial.replicas:
                wheels = trial.lab[host].root / WHEELS.lstrip("/")
                wheels.mkdir(exist_ok=True)
                shutil.copy(wheel, wheels)
        trial.edit((OLD, f"{NEW}+{MARK}"), HOLLOW)
        _in_vain(trial, "3 a vLLM 0.30.0 without its compiled modules")
        trial.edit((f"{NEW}+{MARK}", OLD), HOLLOW[::-1])


def _in_vain(trial: Trial, title: str) -> None:
    """Apply what cannot serve: the first host goes back, and the others are not touched."""
    others = {host: trial.pid(host) for host in trial.replicas[1:]}
    trial.apply_under_load(title, code=1)
    assert {trial.version(host) for host in trial.replicas} == {"0.32.0"}
    assert {host: trial.pid(host) for host in others} == others


def _release(trial: Trial, run: bool) -> None:
    trial.edit((OLD, NEW))
    if run:
        trial.apply_under_load("4 vLLM 0.32.0 to 0.30.0")
        assert {trial.version(host) for host in trial.replicas} == {"0.30.0"}


def _back(trial: Trial, run: bool) -> None:
    trial.edit((NEW, OLD))
    if run:
        trial.apply_under_load("5 back to vLLM 0.32.0")
        assert {trial.version(host) for host in trial.replicas} == {"0.32.0"}


def _killed(trial: Trial, run: bool) -> None:
    """Reload the gateway, and then kill one server: only what ran there may fail."""
    if not run:
        return
    host = trial.replicas[-1]

    def answers() -> bool:
        try:
            return bool(trial.version(host))
        except OSError:
            return False

    with trial.load(f"6 a reload of the gateway, then SIGKILL of {host}'s server") as requests:
        time.sleep(5)
        trial.reload()
        wait_until(lambda: trial.running(host) > 0, 120)
        trial.sh(host, f"systemctl kill -s KILL provision-{SERVICE}")
        wait_until(answers, 900)
    lost = [each for each in requests if each.end != "whole"]
    assert {each.server for each in lost} <= {host}, lost
    assert len(lost) <= 3  # as many clients as there are


if __name__ == "__main__":
    sys.exit(main())
