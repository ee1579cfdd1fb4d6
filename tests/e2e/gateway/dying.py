"""``python -m tests.e2e.gateway.dying``: the controller dies at each step of a drained restart of real vLLMs.

Needs the lab of rolling.py, on which fleet.yml was applied. Each round changes the playbook and applies it.
At the first host the controller is killed at one step; all servers come back into rotation without it. The
next apply goes on, and is killed at the next host at the next step; and so on. The last one ends the round.
All the time clients ask, of whom none may lose a request. dying.txt has what it printed.
"""

from __future__ import annotations

import sys

from tests.e2e.gateway.drained import Step, steps
from tests.e2e.gateway.trial import SERVICE, Trial, lossless, options

PATIENCE = 1200.0
"""Seconds in which a restarted vLLM has to be back in rotation."""


RELEASE = ("release: 0.32.0", "release: 0.30.0")
SEQUENCES = ("sequences: 4", "sequences: 8")
ROUNDS = (
    ("vLLM 0.32.0 to 0.30.0", RELEASE),
    ("back to vLLM 0.32.0", RELEASE[::-1]),
    ("max_num_seqs 4 to 8", SEQUENCES),
    ("max_num_seqs 8 to 4", SEQUENCES[::-1]),
)


def main(arguments: list[str] | None = None) -> int:
    """Go through all steps."""
    parser = options("dying", __doc__)
    parser.add_argument("--rounds", default="1234", help="go on with some of them (default: 1234)")
    given = parser.parse_args(arguments)
    trial = Trial(given)
    todo = [*steps(SERVICE, stops=3), *_loading()]
    for number, (title, edit) in enumerate(ROUNDS, 1):
        trial.edit(edit)
        some = [todo.pop(0) for _ in trial.replicas if todo]
        if str(number) in given.rounds:
            _round(trial, f"{number} {title}", some)
    return 0


def _loading() -> list[Step]:
    """Return what only a server has that takes long to start."""
    started = next(each for each in steps(SERVICE) if each.title == "started")
    return [Step("while it loads", started.reached, 10)]


def _round(trial: Trial, title: str, some: list[Step]) -> None:
    with trial.load(title) as requests:
        for host, step in zip(trial.replicas, some, strict=False):
            trial.kill_apply_at(step, host)
            seconds = trial.await_all_in(PATIENCE)
            print(f"  killed at {host}, {step.title}: all in rotation after {seconds:.0f} s", flush=True)
        trial.apply(title)
        trial.await_all_in(10)
    lossless(requests)
    text = trial.playbook.read_text()
    for host in trial.replicas:
        assert f"sequences: {trial.sequences(host)}," in text
        assert f"release: {trial.version(host)}," in text


if __name__ == "__main__":
    sys.exit(main())
