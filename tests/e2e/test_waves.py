"""Six hosts that change in waves: what fails at the first one is not done to the others."""

from __future__ import annotations

import re
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


def test_a_saved_plan_keeps_its_waves(fleet: Provision) -> None:
    saved = fleet.run("plan", "play.yml", "--serial", "3", "--out", "plan.json")
    assert saved.code == 0, saved.err
    done = replace(fleet, options=[]).run("apply", "plan.json", "--yes", json=True)
    assert done.code == 0, done.out
    assert [len(event["hosts"]) for event in done.event("wave")] == [1, 3, 2]
