"""A program without a port has to stay up: let go as soon as it rests, and watched while it works."""

from __future__ import annotations

import shlex
import sys
import time

import pytest

from provision.host.services import checks
from provision.wire.checks import Running
from tests.host.services import Service

COMPUTE = "import time, sys\nwhile time.process_time() < {seconds}: pass\nsys.exit({code})"
"""Uses a CPU for so long, however busy the machine is."""


def start(service: Service, command: str) -> None:
    service.write(command)
    service.converge(service.process())


def python(program: str) -> str:
    return f"exec {shlex.quote(sys.executable)} -I -S -c {shlex.quote(program)}"


def proof(service: Service, seconds: float) -> checks.Verdict:
    check = Running(seconds=seconds)
    return checks.perform(service.machine, service.probe(check, url="", health=False).spec, check)


@pytest.mark.parametrize("command", ["exec sleep 600", "sleep 600 & wait"])
def test_what_rests_is_let_go_early(service: Service, command: str) -> None:
    start(service, command)
    found = proof(service, 60)
    assert found.ok
    assert found.seconds < 30


@pytest.mark.parametrize(
    "command",
    [
        python(COMPUTE.format(seconds=1.5, code=5)),
        # It tries again and again, and uses next to nothing of the CPU meanwhile.
        "for each in 1 2 3 4; do sleep 0.5; done; exit 5",
    ],
    ids=["computes", "tries"],
)
def test_what_ends_after_its_work_is_told(service: Service, command: str) -> None:
    start(service, command)
    found = proof(service, 60)
    assert (found.ok, found.error) == (False, "it does not stay up (exit 5)")
    assert found.seconds < 30


def test_what_works_all_the_time_is_let_go_after_its_time_and_then_at_once(service: Service) -> None:
    start(service, python(COMPUTE.format(seconds=600, code=0)))
    begun = time.monotonic()
    assert proof(service, 2).ok
    assert time.monotonic() - begun > 1  # from its start, which was a little before
    assert proof(service, 2).seconds < 1.5
