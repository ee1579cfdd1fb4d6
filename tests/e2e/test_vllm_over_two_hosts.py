"""One vLLM over two hosts: from nothing to a chat, one restart for both, and back by itself after faults."""

from __future__ import annotations

import json
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.command import REPOSITORY, Provision
from tests.lab import Lab, LabHost
from tests.lab.hub import Hub
from tests.lab.models import hub_root

pytestmark = [pytest.mark.lab, pytest.mark.slow]

PLAYBOOK = REPOSITORY / "tests/e2e/nodes.yml"
NAMES = ("node1", "node2")
UNIT = "provision-chat"
BACK = 600
"""Seconds for which a group is waited for: the start of a vLLM on a slow machine."""


class Site:
    """Two hosts, and the playbook that makes one service of them."""

    def __init__(self, hosts: list[LabHost], provision: Provision, playbook: Path) -> None:
        self.hosts = dict(zip(NAMES, hosts, strict=True))
        self.provision = provision
        self.playbook = playbook
        self.first = provision.apply(playbook, timeout=1800)

    def sh(self, host: str, script: str) -> str:
        return self.hosts[host].exec(["sh", "-c", script]).stdout.strip()

    def pids(self) -> list[str]:
        return [self.sh(name, f"systemctl show -p MainPID --value {UNIT}") for name in NAMES]

    def phases(self) -> list[str]:
        found = [self.sh(name, "cat /var/lib/provision/chat/rank.json || echo {}") for name in NAMES]
        return [json.loads(each).get("phase", "") for each in found]

    def await_others(self, pids: list[str]) -> None:
        """Wait until other processes than these serve, on both hosts."""
        deadline = time.monotonic() + BACK
        while True:
            now = self.pids()
            if not {*now} & {*pids, "0"} and self.phases() == ["serving", "serving"]:
                return
            assert time.monotonic() < deadline, [self.sh(n, f"journalctl -u {UNIT} -n 40") for n in NAMES]
            time.sleep(1)

    def chat(self) -> str:
        body = {"model": "chat", "messages": [{"role": "user", "content": "hello"}], "max_tokens": 32}
        url = f"http://{self.hosts['node1'].address}:8003/v1/chat/completions"
        request = urllib.request.Request(url, json.dumps(body).encode(), {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=180) as answer:
            found: dict[str, Any] = json.load(answer)
        return str(found["choices"][0]["message"]["content"])


@pytest.fixture(scope="module")
def site(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    hosts = lab.add(*NAMES)
    playbook = tmp_path_factory.mktemp("nodes") / "nodes.yml"
    playbook.write_text(PLAYBOOK.read_text())
    with Hub(hub_root(), address=lab.network.gateway) as hub:
        yield Site(hosts, Provision(["-i", str(lab.inventory), "-e", f"hub={hub.url}"]), playbook)
    lab.remove(*NAMES)


def test_the_first_apply_ends_with_an_answer_of_both(site: Site) -> None:
    asked = {(proof["host"], proof["check"]) for proof in site.first.event("proof", ok=True)}
    assert asked == {("node1", "nodes"), ("node1", "chat"), ("node2", "nodes")}
    assert "provision" in site.chat()


def test_a_second_apply_changes_nothing_in_one_round_trip_a_host(site: Site) -> None:
    pids, answer = site.pids(), site.provision.apply(site.playbook)
    for name in NAMES:
        assert answer.done(name)["counts"]["changed"] == 0
        assert answer.done(name)["executions"] == 1
    assert site.pids() == pids


def test_it_is_one_service_to_the_user(site: Site) -> None:
    status = site.provision.run("status", site.playbook).out.splitlines()
    assert len(status) == 2
    assert status[1].split()[:3] == ["node1", "chat", "running"]
    assert status[1].endswith("2 of 2 (node1, node2)")
    logs = site.provision.run("logs", "chat", site.playbook, "-n", "5").out.splitlines()
    assert {line.split("  ")[0] for line in logs} == {"node1 rank 0", "node2 rank 1"}


def test_what_does_not_fit_together_is_found_before_anything_stops(site: Site) -> None:
    pids, text = site.pids(), site.playbook.read_text()
    site.playbook.write_text(text.replace("hosts: [node1, node2]}", "hosts: 2, interface: eth9}"))
    answer = site.provision.run("apply", site.playbook, "--yes")
    site.playbook.write_text(text)
    assert answer.code == 1
    assert "there is no interface eth9 with an address here (there are: host0)" in answer.out
    assert site.pids() == pids


def test_some_nodes_alone_are_not_started(site: Site) -> None:
    answer = site.provision.run("apply", site.playbook, "--yes", "--limit", "node2")
    assert answer.code == 1
    assert "select node1, too" in answer.err


def test_a_killed_engine_of_a_rank_restarts_both(site: Site) -> None:
    pids = site.pids()
    site.sh("node2", "kill -KILL $(pgrep -f '[V]LLM::Worker')")
    site.await_others(pids)
    assert "provision" in site.chat()
    assert f"the program of {NAMES[1]} (rank 1) has ended" in site.sh("node1", f"journalctl -o cat -u {UNIT}")


def test_a_changed_flag_restarts_the_group_once(site: Site) -> None:
    text = site.playbook.read_text()
    site.playbook.write_text(text.replace("max_num_seqs: 4", "max_num_seqs: 5"))
    before = [site.sh(name, f"journalctl -o cat -u {UNIT} | grep -c 'nodes are there'") for name in NAMES]
    site.provision.apply(site.playbook)
    after = [site.sh(name, f"journalctl -o cat -u {UNIT} | grep -c 'nodes are there'") for name in NAMES]
    assert [int(b) - int(a) for a, b in zip(before, after, strict=True)] == [1, 1]
    assert "provision" in site.chat()
