"""Six hosts that change in waves: what fails at the first one is not done to the others."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace

import pytest

from tests.e2e.command import REPOSITORY, Provision
from tests.lab import Lab

pytestmark = pytest.mark.lab

HOSTS = [f"w{number}" for number in range(1, 7)]

PLAY = """\
- hosts: [w1, w2, w3, w4, w5, w6]
  rollout: {serial: 2}
  vars: {word: one, program: "-m http.server 8123 --bind 127.0.0.1"}
  directories: {/srv/www: null}
  files: {/srv/www/word: {content: "{{ word }}"}}
  services:
    page:
      kind: program
      command: "/usr/bin/python3 {{ program }}"
      working_directory: /srv/www
      env: {WORD: "{{ word }}"}
      port: 8123
      start_timeout: 20s
      checks: [{http: /word, expect: "{{ word }}"}]
"""


@pytest.fixture(scope="module")
def fleet(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Provision]:
    lab.add(*HOSTS)
    folder = tmp_path_factory.mktemp("waves")
    (folder / "play.yml").write_text(PLAY)
    provision = Provision(
        ["-i", str(lab.inventory), "--connect-timeout", "10"], {"PYTHONPATH": str(REPOSITORY)}, folder
    )
    first = provision.run("apply", "play.yml", "--yes", json=True)
    assert first.code == 0, first.out
    assert [event["hosts"] for event in first.event("wave")] == [["w1"], ["w2", "w3"], ["w4", "w5"], ["w6"]]
    yield provision
    lab.remove(*HOSTS)


def pids(fleet: Provision) -> dict[str, int]:
    """Return the process of the service on each host."""
    found = fleet.run("status", "play.yml", json=True)
    return {event["host"]: event["pid"] for event in found.event("service")}


def test_nothing_to_change_waits_for_nobody(fleet: Provision) -> None:
    again = fleet.run("apply", "play.yml", "--yes", json=True)
    assert again.code == 0
    assert not again.event("wave")
    assert not again.event("turn")
    assert all(again.done(host)["executions"] == 1 for host in HOSTS)


def test_a_plan_says_the_order(fleet: Provision) -> None:
    plan = fleet.run("plan", "play.yml", "-e", "word=two")
    assert "Order: w1 → w2, w3 → w4, w5 → w6; stops at the first failure." in plan.out
    told = fleet.run("plan", "play.yml", "-e", "word=two", "--serial", "50%", json=True)
    assert told.event("waves")[0]["waves"] == [["w1"], ["w2", "w3", "w4"], ["w5", "w6"]]


@pytest.mark.parametrize(
    "wrong",
    ["-m http.server 8123 --bind 127.0.0.1 --directory /var/empty-of-words", "-m no_such_module"],
    ids=["answers wrongly", "does not start"],
)
def test_what_fails_at_the_first_host_is_not_done_to_the_others(fleet: Provision, wrong: str) -> None:
    before = pids(fleet)
    bad = fleet.run("apply", "play.yml", "--yes", "-e", f"program={wrong}", json=True)
    assert bad.code == 1
    assert {event["host"] for event in bad.event("result") if event["status"] in ("changed", "failed")} == {
        "w1"
    }
    (stop,) = [event for event in bad.event("wave") if event["stopped"]]
    assert stop["hosts"] == HOSTS[1:]
    assert stop["stopped"]["code"] == "rollout-stopped"
    after = pids(fleet)
    assert {host: after[host] for host in HOSTS[1:]} == {host: before[host] for host in HOSTS[1:]}
    said = fleet.run("apply", "play.yml", "--yes", "-e", f"program={wrong}").out
    assert re.search(r"^w2, w3, w4, w5, w6  not changed, because w1 failed$", said, re.MULTILINE), said


def test_a_change_goes_through_in_waves_and_may_leave_some_behind(fleet: Provision, lab: Lab) -> None:
    lab.stop("w3")
    try:
        stopped = fleet.run("apply", "play.yml", "--yes", "-e", "word=two", json=True)
        assert stopped.code == 1
        changed = {event["host"] for event in stopped.event("result", status="changed")}
        assert changed <= {"w1", "w2"}
        assert "w1" in changed
        allowed = (fleet.cwd / "play.yml").read_text().replace("serial: 2", "serial: 2, max_failures: 1")
        (fleet.cwd / "other.yml").write_text(allowed)
        through = fleet.run("apply", "other.yml", "--yes", "-e", "word=two", json=True)
        assert through.code == 1  # w3 is still off
        assert not [event for event in through.event("wave") if event["stopped"]]
    finally:
        lab.start("w3")
    end = fleet.run("apply", "play.yml", "--yes", "-e", "word=two", json=True)
    assert end.code == 0


@pytest.fixture
def two_in_trouble(fleet: Provision, lab: Lab) -> Iterator[None]:
    """Let w3 be dead, and w4 hang: it takes connections and never says a word."""
    lab.stop("w3")
    lab["w4"].blackhole()
    yield
    lab["w4"].revive()
    lab.start("w3")


@pytest.mark.usefixtures("two_in_trouble")
def test_one_dead_and_one_hung_host_hold_up_nobody(fleet: Provision) -> None:
    before = {host: pid for host, pid in pids(fleet).items() if host not in ("w3", "w4")}
    wrong = fleet.run("apply", "play.yml", "--yes", "-e", "program=-m no_such_module", json=True)
    assert wrong.code == 1
    # Who of w1, w3 and w4 fails first ends it.
    assert {event["host"] for event in wrong.event("result", status="failed")} <= {"w1"}
    after = pids(fleet)
    assert {host: after[host] for host in before if host != "w1"} == {
        host: pid for host, pid in before.items() if host != "w1"
    }

    (fleet.cwd / "two.yml").write_text(PLAY.replace("serial: 2", "serial: 2, max_failures: 2"))
    right = fleet.run("apply", "two.yml", "--yes", "-e", "word=three", json=True)
    assert right.code == 1
    assert not [event for event in right.event("wave") if event["stopped"]]
    assert {event["host"] for event in right.event("proof", ok=True)} >= {"w1", "w2", "w5", "w6"}
    assert {event["host"] for event in right.event("unreachable")} == {"w3", "w4"}


def test_who_hangs_while_it_waits_for_its_turn_counts_as_failed(fleet: Provision, lab: Lab) -> None:
    slow = PLAY.replace("serial: 2", "serial: 2, pause: 10s")
    (fleet.cwd / "slow.yml").write_text(slow)
    argv = [sys.executable, "-m", "provision", "apply", "slow.yml", "--yes", "-e", "word=four"]
    before = pids(fleet)
    try:
        with subprocess.Popen(
            [*argv, "--output", "json", *fleet.options],
            stdout=subprocess.PIPE,
            cwd=fleet.cwd,
            env={**os.environ, **fleet.env},
            text=True,
        ) as run:
            assert run.stdout
            events = []
            for line in run.stdout:
                events.append(json.loads(line))
                if events[-1]["event"] == "wave" and events[-1]["number"] == 1:
                    lab["w4"].blackhole()
            assert run.wait() == 1
    finally:
        lab["w4"].revive()
    (silent,) = [event for event in events if event["event"] == "unreachable"]
    assert silent["host"] == "w4"
    assert silent["code"] in ("connection-lost", "host-silent")  # as ssh notices it, or we do
    (stop,) = [event for event in events if event["event"] == "wave" and event["stopped"]]
    assert stop["hosts"] == ["w6"]
    after = pids(fleet)
    assert {host: after[host] for host in ("w4", "w6")} == {host: before[host] for host in ("w4", "w6")}
    end = fleet.run("apply", "play.yml", "--yes", "-e", "word=four", json=True)
    assert end.code == 0


def test_a_saved_plan_keeps_its_waves(fleet: Provision) -> None:
    saved = fleet.run("plan", "play.yml", "--serial", "3", "--out", "plan.json")
    assert saved.code == 0, saved.err
    done = replace(fleet, options=[]).run("apply", "plan.json", "--yes", json=True)
    assert done.code == 0, done.out
    assert [len(event["hosts"]) for event in done.event("wave")] == [1, 3, 2]
