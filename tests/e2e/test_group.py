"""Two hosts and one service over both: what is changed, proven and gone back to, is so on both or on none."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e import standin
from tests.e2e.command import REPOSITORY, Answer, Provision
from tests.lab import Lab, LabHost

pytestmark = pytest.mark.lab

NAMES = ("pair1", "pair2")
UNIT = "provision-quick"

MADE = f"""
python3 -m venv --without-pip /srv/env
python3 -m zipfile -e {standin.INDEX}/vllm/*.whl /srv/env/lib/python3.11/site-packages
"""
"""Makes the environment, for which the hosts lack pip: installing that takes longer than all else here."""

PLAY = """\
- hosts: [pair1, pair2]
  environments:
    fast: {packages: ["vllm==0.33.0"], path: /srv/env}
  models: {m: {path: /srv/model}}
  services:
    quick:
      kind: vllm
      environment: fast
      model: m
      nodes: {hosts: [pair1, pair2]}
      tensor_parallel_size: 2
      port: 8006
      max_num_seqs: "{{ seqs | default(4) }}"
      env: {WORD: "{{ word | default('one') if host.name == 'pair2' else 'one' }}"}
      start_timeout: 60s
      checks: [{chat: "hello", expect: "{{ expected | default('You said hello') }}", timeout: 20s}]
"""


class Site:
    """Two hosts, and the playbook that makes one service of them."""

    def __init__(self, hosts: list[LabHost], provision: Provision, playbook: Path) -> None:
        self.hosts = hosts
        self.provision = provision
        self.playbook = playbook

    def run(self, *words: str) -> Answer:
        verb, *options = words
        return self.provision.run(verb, self.playbook, *options, json=True)

    def sh(self, script: str) -> list[str]:
        return [host.exec(["sh", "-c", script]).stdout.strip() for host in self.hosts]

    def pids(self) -> list[str]:
        return self.sh(f"systemctl show -p MainPID --value {UNIT}")

    def flags(self) -> list[str]:
        return self.sh("grep -o 'max-num-seqs [0-9]*' /opt/provision/services/quick/start.sh")

    def outcomes(self) -> list[str]:
        told = self.run("history").event("history")
        return [each["revisions"][-1]["outcome"] for each in told]


@pytest.fixture(scope="module")
def site(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    hosts = lab.add(*NAMES)
    for host in hosts:
        standin.install(host.root)
        host.exec(["sh", "-ec", MADE])
    playbook = tmp_path_factory.mktemp("group") / "group.yml"
    playbook.write_text(PLAY)
    site = Site(hosts, Provision(["-i", str(lab.inventory)], cwd=REPOSITORY), playbook)
    site.provision.apply(playbook)
    yield site
    lab.remove(*NAMES)


def test_a_change_of_one_node_restarts_both(site: Site) -> None:
    planned = {each["host"]: each for each in site.run("plan", "-e", "word=two").event("restart")}
    assert [planned[name]["nodes"] for name in NAMES] == [list(NAMES)] * 2
    assert [planned[name]["led_by"] for name in NAMES] == [["pair2"], []]
    pids = site.pids()
    site.provision.apply(site.playbook, "-e", "word=two")
    assert not {*pids} & {*site.pids()}
    assert site.outcomes() == ["proven", "proven"]


def test_what_is_not_proven_on_one_node_is_taken_back_on_both(site: Site) -> None:
    answer = site.run("apply", "-e", "word=two", "-e", "seqs=5", "-e", "expected=Paris", "--yes")
    assert answer.code == 1
    assert [each["ok"] for each in answer.event("restored")] == [True, True]
    (told,) = answer.event("result", host="pair2", status="failed")
    assert told["code"] == "node-failed"
    assert told["error"].startswith('pair1 failed (chat: the reply does not contain "Paris")')
    assert site.flags() == ["max-num-seqs 4"] * 2
    assert site.run("verify").code == 0
    # Of the head nothing has changed this time.
    answer = site.run("apply", "-e", "word=three", "-e", "expected=Paris", "--yes")
    assert [each["ok"] for each in answer.event("restored")] == [True, True]
    assert site.outcomes() == ["rolled back", "rolled back"]


def test_both_go_back_by_hand_or_none(site: Site) -> None:
    site.provision.apply(site.playbook, "-e", "word=two", "-e", "seqs=6")
    pids = site.pids()
    alone = site.provision.run("rollback", "quick", site.playbook, "--yes", "--limit", "pair2")
    assert (alone.code, "select pair1, too" in alone.err) == (1, True)
    book = "/opt/provision/state/revisions/quick"
    site.hosts[1].exec(["mv", book, "/root/book"])
    refused = site.provision.run("rollback", "quick", site.playbook, "--yes")
    site.hosts[1].exec(["mv", "/root/book", book])
    assert refused.code == 1
    assert "pair2: quick was not changed together with pair1 at that time" in refused.out
    assert site.pids() == pids
    back = site.provision.run("rollback", "quick", site.playbook, "--yes")
    assert back.code == 0, back.out
    assert site.flags() == ["max-num-seqs 4"] * 2
    assert site.outcomes() == ["by hand", "by hand"]


def test_both_are_removed_or_none(site: Site) -> None:
    alone = site.run("remove", "--yes", "--limit", "pair1")
    assert (alone.code, "select pair2, too" in alone.err) == (1, True)
    assert site.run("remove", "--yes").code == 0
    left = f"systemctl is-active {UNIT}; pgrep -f '[r]ank.py'; ls /opt/provision 2>/dev/null || true"
    assert site.sh(left) == ["inactive"] * 2
