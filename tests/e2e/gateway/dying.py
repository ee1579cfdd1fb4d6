"""``python -m tests.e2e.gateway.dying``: the controller dies at each step of a drained restart of real vLLMs.

Needs the lab of rolling.py, on which fleet.yml was applied. Each round changes `max_num_seqs` and applies it.
At the first host the controller is killed at one step, and all servers come back into rotation without it.
The next apply goes on, and is killed at the next host at the next step; and so on. The last one ends the
round. All the time clients ask, of whom none may lose a request. dying.txt has what it printed.
"""

from __future__ import annotations

import sys

from tests.e2e.gateway.drained import Step, steps
from tests.e2e.gateway.trial import SERVICE, Trial, lossless, options

PATIENCE = 1200.0
"""Seconds in which a restarted vLLM has to be back in rotation."""


def main(arguments: list[str] | None = None) -> int:
    """Go through all steps."""
    parser = options("dying", __doc__)
    parser.add_argument("--first", type=int, default=1, help="begin at this step, counted from 1")
    given = parser.parse_args(arguments)
    trial = Trial(given)
    todo = [*steps(SERVICE, stops=3), *_loading()][given.first - 1 :]
    value = max(trial.sequences(host) for host in trial.replicas)
    trial.edit(("sequences: 4", f"sequences: {value}"))
    size = len(trial.replicas)
    rounds = [todo[first : first + size] for first in range(0, len(todo), size)]
    for number, some in enumerate(rounds, 1):
        trial.edit((f"sequences: {value}", f"sequences: {value + 1}"))
        value += 1
        _round(trial, f"{number} max_num_seqs {value - 1} to {value}", some)
        assert {trial.sequences(host) for host in trial.replicas} == {value}
    return 0


def _loading() -> list[Step]:
    """Return what only a server has that takes long to start."""
    return [Step("while it loads", each.reached, 10) for each in steps(SERVICE) if each.title == "started"]


def _round(trial: Trial, title: str, some: list[Step]) -> None:
    with trial.load(title) as requests:
        for host, step in zip(trial.replicas, some, strict=False):
            trial.kill_apply_at(step, host)
            seconds = trial.await_all_in(PATIENCE)
            print(f"  killed at {host}, {step.title}: all in rotation after {seconds:.0f} s", flush=True)
        trial.apply(title)
        trial.await_all_in(10)
    lossless(requests)


if __name__ == "__main__":
    sys.exit(main())
