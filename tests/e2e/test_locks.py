"""Several people and one fleet: applies of the same hosts come one after the other, and say who is first."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.e2e.command import REPOSITORY, Answer, Provision
from tests.lab import Lab

pytestmark = pytest.mark.lab

HOSTS = ["k1", "k2", "k3"]

PLAY = """\
- hosts: all
  rollout: {canary: 1, serial: 1}
  vars: {word: one, slow: 0}
  directories: {/srv/www: null}
  files: {/srv/www/word: {content: "{{ word }}"}}
  services:
    page:
      kind: program
      command: [sh, -c, "sleep {{ slow }}; exec python3 -m http.server 8124 --bind 127.0.0.1"]
      working_directory: /srv/www
      env: {WORD: "{{ word }}"}
      port: 8124
      start_timeout: 60s
      checks: [{http: /word, expect: "{{ word }}"}]
"""


class Fleet:
    """Three hosts, and people who apply to them at the same time."""

    def __init__(self, lab: Lab, folder: Path) -> None:
        self.lab, self.folder = lab, folder
        known = yaml.safe_load(lab.inventory.read_text())
        for name, order in (("ann", HOSTS), ("bob", HOSTS[::-1])):
            (folder / name).mkdir()
            (folder / name / "site.yml").write_text(PLAY)
            hosts = {host: known["hosts"][host] for host in order}
            (folder / name / "hosts.yml").write_text(
                yaml.safe_dump({**known, "hosts": hosts}, sort_keys=False)
            )

    def run(self, name: str, verb: str, *args: str, json: bool = False) -> Answer:
        provision = Provision(["-i", "hosts.yml"], {"PYTHONPATH": str(REPOSITORY)}, self.folder / name)
        return provision.run(verb, *args, "site.yml", "--yes", json=json)

    def begin(self, name: str, *args: str) -> subprocess.Popen[str]:
        argv = [sys.executable, "-m", "provision", "apply", "site.yml", "--yes", "--output", "json"]
        argv += ["--connect-timeout", "60", "-i", "hosts.yml", *args]
        # A pipe of a program that is not read would fill up.
        with (self.folder / f"{name}.log").open("w") as log:
            return subprocess.Popen(
                argv, stdout=log, stderr=subprocess.STDOUT, text=True, cwd=self.folder / name
            )

    def events(self, name: str, event: str) -> list[dict[str, Any]]:
        lines = (self.folder / f"{name}.log").read_text().splitlines()
        found = [json.loads(line) for line in lines if line.startswith("{") and line.endswith("}")]
        return [each for each in found if each["event"] == event]

    def wait_for(self, name: str, event: str, host: str | None = None, **like: Any) -> dict[str, Any]:
        deadline = time.monotonic() + 120
        while True:
            found = [each for each in self.events(name, event) if host in (None, each.get("host"))]
            found = [each for each in found if all(each[key] == value for key, value in like.items())]
            if found:
                return found[0]
            assert time.monotonic() < deadline, (self.folder / f"{name}.log").read_text()[-3000:]
            time.sleep(0.1)

    def words(self) -> list[str]:
        return [self.lab.hosts[name].exec(["cat", "/srv/www/word"]).stdout for name in HOSTS]


@pytest.fixture(scope="module")
def fleet(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    lab.add(*HOSTS)
    fleet = Fleet(lab, tmp_path_factory.mktemp("locks"))
    first = fleet.run("ann", "apply", json=True)
    assert first.code == 0, first.out
    yield fleet
    lab.remove(*HOSTS)


def told(answer: Answer) -> str:
    return answer.out + answer.err


def test_the_next_apply_is_told_at_once_who_has_the_fleet_and_changes_nothing_meanwhile(fleet: Fleet) -> None:
    ann = fleet.begin("ann", "-e", "word=two", "-e", "slow=8")
    fleet.wait_for("ann", "wave", number=1)
    refused = fleet.run("bob", "apply", "-e", "word=three", "--wait", "0")
    assert refused.code == 1
    assert re.search(
        r"another run holds this host: \S+@\S+ since .+: apply, wave 3 of 3, waits for its turn",
        told(refused),
    )
    bob = fleet.begin("bob", "-e", "word=three")
    held = fleet.wait_for("bob", "waiting", host="k3", locked=True)
    assert "apply, wave 3 of 3, waits for its turn" in held["reason"]
    assert ann.poll() is None
    assert ann.wait(180) == 0
    # Not before the first one had ended everywhere.
    begun = len(fleet.events("bob", "wave"))
    assert begun == 0
    assert bob.wait(180) == 0
    assert [each["hosts"] for each in fleet.events("bob", "wave")] == [["k3"], ["k2"], ["k1"]]
    assert fleet.words() == ["three"] * 3


def test_two_that_begin_together_in_opposite_orders_do_not_block_each_other_or_mix(fleet: Fleet) -> None:
    for round in range(3):
        both = {name: fleet.begin(name, "-e", f"word={name}{round}") for name in ("ann", "bob")}
        assert [each.wait(240) for each in both.values()] == [0, 0]
        assert len(set(fleet.words())) == 1


def test_a_rollback_and_a_removal_wait_for_an_apply(fleet: Fleet) -> None:
    ann = fleet.begin("ann", "-e", "word=four", "-e", "slow=6")
    fleet.wait_for("ann", "wave", number=1)
    for verb in (["rollback", "page"], ["remove"]):
        refused = fleet.run("bob", *verb, "--wait", "0", "--limit", "k2")
        assert refused.code == 1
        assert "another run holds this host" in told(refused)
    removed = fleet.run("bob", "remove", "--limit", "k3", json=True)
    assert removed.code == 0, removed.out
    (waited,) = removed.event("waiting")[:1]
    assert waited["locked"]
    assert ann.wait(120) == 0
    # What the apply has brought meanwhile is gone, too.
    assert not (fleet.lab.hosts["k3"].root / "opt/provision").exists()
    assert not (fleet.lab.hosts["k3"].root / "srv/www").exists()


def test_a_killed_controller_leaves_no_lock_behind(fleet: Fleet) -> None:
    ann = fleet.begin("ann", "-e", "word=five", "-e", "slow=20")
    fleet.wait_for("ann", "wave", number=1)
    ann.kill()
    ann.wait()
    after = fleet.run("bob", "apply", "-e", "word=six", "--wait", "30", json=True)
    assert after.code == 0, after.out[-3000:]
    assert fleet.words() == ["six"] * 3
