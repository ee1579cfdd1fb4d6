"""A few of the cases of `make chaos`: an apply is cut off, the next one comes to the same end."""

from __future__ import annotations

import os
import subprocess

import pytest

from tests.chaos.__main__ import choose
from tests.chaos.case import Chaos
from tests.e2e.command import REPOSITORY
from tests.lab import Lab

pytestmark = pytest.mark.lab

CASES = 1


def seed() -> int:
    """Return CHAOS_SEED, or a number that is another one for each commit."""
    told = subprocess.run(
        ["git", "rev-parse", "HEAD"], cwd=REPOSITORY, capture_output=True, text=True, check=False
    )
    return int(os.environ.get("CHAOS_SEED") or int(told.stdout[:6] or "0", 16))


@pytest.mark.parametrize("seed", [seed()])  # so that the report names it, in whatever process it runs
def test_an_apply_that_was_cut_off_somewhere_is_completed_by_the_next_one(
    lab: Lab, seed: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    chaos = Chaos(lab, tmp_path_factory.mktemp("c"), container=False)
    try:
        chosen = choose(chaos.cases(), seed, CASES)
        wrong = {str(case): found for case in chosen if (found := chaos.try_(case).wrong)}
    finally:
        chaos.forget()
    assert not wrong, f"repeat it with CHAOS_SEED={seed}"
