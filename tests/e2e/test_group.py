"""Two hosts and one service over both: what is changed, proven and gone back to, is so on both or on none."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from provision.host.state.lock import lock_path
from tests.e2e import standin, standin_ray
from tests.e2e.command import REPOSITORY, Answer, Provision
from tests.lab import Base, Lab, LabHost

pytestmark = pytest.mark.lab

NAMES = ("pair1", "pair2")
THIRD = "pair3"
UNIT = "provision-quick"
MP, RAY = "nodes: {hosts: [pair1, pair2]}", "nodes: {engine: ray, cluster: cluster}"
SOON = 300
"""Seconds within which an apply has to end that once waited for ever."""

MADE = f"""
python3 -m venv --without-pip /srv/env
for wheel in {standin.INDEX}/*/*.whl; do
  python3 -m zipfile -e $wheel /srv/env/lib/python3.11/site-packages
done
"""
"""Makes the environment, for which the hosts lack pip: installing that takes longer than all else here."""

PLAY = """\
- hosts: [pair1, pair2]
  environments:
    fast: {packages: ["vllm==0.33.0", "ray==2.60.0"], path: /srv/env}
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

CLUSTER = """\
    cluster: {kind: ray, environment: fast, head: pair1, num_cpus: 1, start_timeout: 60s}
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

    def pids(self, unit: str = UNIT) -> list[str]:
        return self.sh(f"systemctl show -p MainPID --value {unit}")

    def starts(self) -> list[int]:
        return [int(each) for each in self.sh(f"journalctl -o cat -u {UNIT} | grep -c 'nodes are there'")]

    def write(self, text: str) -> None:
        self.playbook.write_text(text)

    def flags(self) -> list[str]:
        return self.sh("grep -o 'max-num-seqs [0-9]*' /opt/provision/services/quick/start.sh")

    def outcomes(self) -> list[str]:
        told = self.run("history").event("history")
        return [each["revisions"][-1]["outcome"] for each in told]


def wait(until: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 90
    while not until():
        assert time.monotonic() < deadline
        time.sleep(0.3)


@pytest.fixture(scope="module")
def site(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    hosts = lab.add(*NAMES, THIRD, base=Base(more="nftables"))
    for host in hosts:
        standin.install(host.root)
        made = standin_ray.install(host.root)
        host.exec(["sh", "-ec", MADE + made])
    playbook = tmp_path_factory.mktemp("group") / "group.yml"
    playbook.write_text(PLAY)
    site = Site(hosts[:2], Provision(["-i", str(lab.inventory)], cwd=REPOSITORY), playbook)
    site.provision.apply(playbook)
    yield site
    lab.remove(*NAMES, THIRD)


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


@pytest.mark.parametrize(
    "words", [["apply", "-e", "word=four"], ["rollback", "quick"]], ids=["apply", "rollback"]
)
def test_a_run_holds_no_node_while_another_run_holds_one(site: Site, words: list[str]) -> None:
    """So no two can wait for each other."""
    place = lock_path("/opt/provision/state")
    pids = site.pids()
    site.hosts[1].exec(["systemd-run", "-q", "--unit=holder", "flock", place, "sleep", "infinity"])
    argv = [sys.executable, "-m", "provision", *words, str(site.playbook), "--yes", "--output", "json"]
    with subprocess.Popen(
        [*argv, *site.provision.options], cwd=REPOSITORY, stdout=subprocess.PIPE, text=True
    ) as run:
        assert run.stdout is not None
        seen: set[tuple[str, str]] = set()
        for line in run.stdout:
            event = json.loads(line)
            seen.add((event["event"], event["host"]))
            if {("meet", "pair1"), ("waiting", "pair2")} <= seen:
                break
        wait(lambda: site.sh(f"flock -n {place} echo free || true") == ["free", ""])
        assert site.pids() == pids
        site.hosts[1].exec(["systemctl", "stop", "holder"])
        run.stdout.read()
    assert run.returncode == 0
    assert not {*pids} & {*site.pids()}


def test_a_service_moves_to_a_cluster_and_back_by_one_restart_each(site: Site) -> None:
    site.write(PLAY + CLUSTER)
    site.provision.apply(site.playbook)
    # A node that has come back by itself has to be proven again, and its head has not.
    before = site.pids("provision-cluster")
    site.hosts[1].exec(["systemctl", "kill", "-s", "KILL", "provision-cluster"])
    wait(lambda: site.pids("provision-cluster")[1] not in ("0", before[1]))
    for text in (PLAY.replace(MP, RAY) + CLUSTER, PLAY + CLUSTER):
        starts, cluster = site.starts(), site.pids("provision-cluster")
        site.write(text)
        site.provision.apply(site.playbook, timeout=SOON)
        assert [now - then for now, then in zip(site.starts(), starts, strict=True)] == [1, 1]
        assert site.pids("provision-cluster") == cluster
        assert site.run("verify").code == 0


@pytest.mark.parametrize("cpus", ["{{ 2 }}", "{{ 3 if host.name == 'pair2' else 2 }}"], ids=["both", "one"])
def test_a_service_ends_before_the_cluster_that_it_runs_on_restarts(site: Site, cpus: str) -> None:
    text = PLAY.replace(MP, RAY) + CLUSTER
    if cpus == "{{ 2 }}":
        site.write(text)
        site.provision.apply(site.playbook, timeout=SOON)
    starts, cluster = site.starts(), site.pids("provision-cluster")
    site.write(text.replace("num_cpus: 1", f'num_cpus: "{cpus}"'))
    site.provision.apply(site.playbook, timeout=SOON)
    changed = [now != then for now, then in zip(site.pids("provision-cluster"), cluster, strict=True)]
    assert changed == [cpus == "{{ 2 }}", True]
    assert all(now > then for now, then in zip(site.starts(), starts, strict=True))
    assert site.run("verify").code == 0


def test_a_cluster_is_closed_to_all_but_its_nodes(site: Site, lab: Lab) -> None:
    closed = CLUSTER.replace("num_cpus", "firewall: true, num_cpus")
    site.write(PLAY.replace(MP, RAY) + closed)
    site.provision.apply(site.playbook, timeout=SOON)
    look = f"import socket; socket.create_connection(('{site.hosts[0].address}', 6379), 2)"
    assert [opens(lab[name], look) for name in (*NAMES, THIRD)] == [True, True, False]
    # One more node is let in, joins, and restarts nobody.
    cluster = site.pids("provision-cluster")
    text = f"- hosts: [pair1, pair2, {THIRD}]\n" + PLAY.partition("\n")[2].partition("    quick:")[0] + closed
    site.write(text)
    site.provision.apply(site.playbook, timeout=SOON)
    assert site.pids("provision-cluster") == cluster
    assert opens(lab[THIRD], look)
    # Without its program the rule could not be loaded, so nothing is stopped.
    site.hosts[1].exec(["mv", "/usr/sbin/nft", "/root"])
    site.write(text.replace("num_cpus: 1", "num_cpus: 2"))
    answer = site.run("apply", "--yes")
    site.hosts[1].exec(["mv", "/root/nft", "/usr/sbin"])
    assert answer.code == 1
    assert "the firewall of pair2 needs /usr/sbin/nft, which is not there" in answer.out
    assert site.pids("provision-cluster") == cluster
    assert site.run("remove", "--yes").code == 0
    site.write(PLAY)
    site.provision.apply(site.playbook)


def opens(host: LabHost, look: str) -> bool:
    return host.exec(["python3", "-c", look], check=False).returncode == 0


def test_another_node_takes_the_place_of_one(site: Site, lab: Lab) -> None:
    pids = site.pids()
    text = PLAY.replace("pair2]", f"{THIRD}]")
    site.write(text + "- hosts: pair2\n")  # so that what it has had goes
    site.provision.apply(site.playbook, timeout=SOON)
    assert site.pids()[0] != pids[0]
    assert site.pids()[1] == "0"
    told = site.provision.run("status", site.playbook).out
    assert f"2 of 2 (pair1, {THIRD})" in told
    site.write(text.replace(f"{THIRD}]", "pair2]") + f"- hosts: {THIRD}\n")
    site.provision.apply(site.playbook, timeout=SOON)
    assert site.run("verify").code == 0


def test_both_are_removed_or_none(site: Site) -> None:
    alone = site.run("remove", "--yes", "--limit", "pair1")
    assert (alone.code, "select pair2, too" in alone.err) == (1, True)
    assert site.run("remove", "--yes").code == 0
    left = f"systemctl is-active {UNIT}; pgrep -f '[r]ank.py'; ls /opt/provision 2>/dev/null || true"
    assert site.sh(left) == ["inactive"] * 2
