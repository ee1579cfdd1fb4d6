"""`python -m tests.chaos`: cuts applies off at every moment in every way, applies again, and compares.

Needs what the lab needs (root, systemd-nspawn). Each case takes some 20 seconds. A case that goes wrong is
printed with the options that repeat it.
"""

from __future__ import annotations

import argparse
import os
import random
import sys
import tempfile
from collections import defaultdict
from pathlib import Path

from tests.chaos.case import Case, Chaos, Outcome
from tests.chaos.ways import WAYS
from tests.lab import Lab


def main(arguments: list[str] | None = None) -> int:
    """Parse the command line, try the cases, print a table."""
    options = _options(arguments)
    seed = options.seed if options.seed is not None else random.randrange(10**6)
    print(f"seed {seed}", flush=True)
    with (
        Lab(f"chaos-{os.getpid()}", owned=True) as lab,
        tempfile.TemporaryDirectory(prefix="chaos-") as folder,
    ):
        lab.up(0)
        chaos = Chaos(lab, Path(folder), options.first)
        if options.list:
            print(*chaos.moments, sep="\n")
            return 0
        chosen = choose(chaos.cases(), seed, options.sample, options.way, options.at)
        print(f"{len(chaos.moments)} moments, {len(WAYS)} ways; {len(chosen)} cases", flush=True)
        outcomes = []
        for number, case in enumerate(chosen, 1):
            outcome = chaos.try_(case)
            outcomes.append(outcome)
            print(f"{number}/{len(chosen)} {_sign(outcome)} {case} ({outcome.seconds:.1f} s)", flush=True)
            for each in outcome.wrong:
                print(f"    {each}", flush=True)
    print(table(outcomes))
    return 1 if any(outcome.wrong for outcome in outcomes) else 0


def choose(
    cases: list[Case], seed: int, sample: int | None, ways: list[str] | None = None, at: str | None = None
) -> list[Case]:
    """Return the cases to try: all, or a sample; half of them some time after their moment."""
    dice = random.Random(seed)
    found = [case for case in cases if (not ways or case.way in ways) and (not at or at in str(case.moment))]
    if sample is not None:
        found = dice.sample(found, min(sample, len(found)))
    return [Case(case.way, case.moment, dice.choice([0.0, dice.uniform(0, 1)])) for case in found]


def table(outcomes: list[Outcome]) -> str:
    """Return how many cases of each way were tried and went wrong."""
    rows = defaultdict(lambda: [0, 0, 0])
    for outcome in outcomes:
        row = rows[outcome.case.way]
        row[0] += 1
        row[1] += not outcome.reached
        row[2] += bool(outcome.wrong)
    lines = ["| cut off | cases | moment did not come | wrong |", "|---|---|---|---|"]
    lines += [f"| {way} | {tried} | {missed} | {wrong} |" for way, (tried, missed, wrong) in rows.items()]
    return "\n".join(lines)


def _sign(outcome: Outcome) -> str:
    return "✗" if outcome.wrong else "✓" if outcome.reached else "–"


def _options(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("--seed", type=int, help="of the sample and of the delays; default: a new one")
    parser.add_argument("--sample", type=int, help="how many cases to try; default: all")
    parser.add_argument("--way", action="append", choices=WAYS, help="only this one; may be repeated")
    parser.add_argument("--at", help="only moments with this text")
    parser.add_argument("--list", action="store_true", help="only print the moments")
    parser.add_argument("--first", action="store_true", help="disturb the first apply on bare hosts")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
