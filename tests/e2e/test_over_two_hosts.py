"""One vLLM over two hosts, by vLLM itself and by Ray, and a Ray cluster: used, damaged, rebooted, removed.

One file for all, because the hosts and the starts of vLLM are what takes long: each step goes on with what
the one before has left. The installation is tested elsewhere, so the hosts come with it.
"""

from __future__ import annotations

import json
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.e2e.command import REPOSITORY, Provision
from tests.lab import Base, Lab, LabHost
from tests.lab.environments import installed
from tests.lab.hub import Hub
from tests.lab.models import hub_root

pytestmark = [pytest.mark.lab, pytest.mark.slow]

PLAYBOOK = REPOSITORY / "tests/e2e/nodes.yml"
NAMES = ("node1", "node2")
MP, RAY = "nodes: {hosts: [node1, node2]}", "nodes: {engine: ray, cluster: cluster}"
TOKEN = "xq7ray-token-0123456789"
BACK = 600
"""Seconds for which something is waited for: a slow machine, on which Ray begins badly."""

JOB = """
import json, ray
ray.init(address="ADDRESS:6379", log_to_driver=False, logging_level="ERROR")
@ray.remote(num_cpus=1, scheduling_strategy="SPREAD")
def where():
    import socket, time
    time.sleep(0.5)
    return socket.gethostname()
print(json.dumps(sorted(set(ray.get([where.remote() for _ in range(6)])))))
"""


class Site:
    """Two hosts, and the playbook for both."""

    def __init__(self, hosts: list[LabHost], provision: Provision, playbook: Path) -> None:
        self.hosts = dict(zip(NAMES, hosts, strict=True))
        self.provision = provision
        self.playbook = playbook
        self.first = provision.apply(playbook, timeout=1800)

    def sh(self, host: str, script: str) -> str:
        return self.hosts[host].exec(["sh", "-c", script]).stdout.strip()

    def lives(self, service: str) -> list[str]:
        """Return what tells one life of a service from the next, on each host."""
        words = f"systemctl show -p InvocationID --value provision-{service}"
        return [self.sh(name, words) for name in NAMES]

    def starts(self) -> list[int]:
        words = "journalctl -o cat -u provision-chat | grep -c 'nodes are there'"
        return [int(self.sh(name, words)) for name in NAMES]

    def phase(self, host: str, service: str, file: str) -> str:
        """Return what the process that runs now says of itself."""
        words = (
            f"systemctl show -p MainPID --value provision-{service}; cat /var/lib/provision/{service}/{file}"
        )
        pid, _, said = self.hosts[host].exec(["sh", "-c", words], check=False).stdout.partition("\n")
        try:
            state: dict[str, Any] = json.loads(said)
        except ValueError:
            return ""
        return str(state["phase"]) if str(state["pid"]) == pid else ""

    def complete(self) -> bool:
        """Whether all nodes of the cluster are there."""
        return all(self.phase(name, "cluster", "node.json") == "serving" for name in NAMES)

    def started(self) -> bool:
        """Whether both ranks of the service have found each other."""
        return all(self.phase(name, "chat", "rank.json") in ("starting", "serving") for name in NAMES)

    def wait(self, until: Callable[[], bool], service: str) -> None:
        deadline = time.monotonic() + BACK
        while not until():
            if time.monotonic() > deadline:
                words = f"journalctl -u provision-{service} -n 60 -o cat --no-pager"
                pytest.fail("\n".join(self.sh(name, words) for name in NAMES))
            time.sleep(1)

    def chat(self) -> str:
        body = {"model": "chat", "messages": [{"role": "user", "content": "hello"}], "max_tokens": 32}
        url = f"http://{self.hosts['node1'].address}:8003/v1/chat/completions"
        request = urllib.request.Request(url, json.dumps(body).encode(), {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=180) as answer:
            found: dict[str, Any] = json.load(answer)
        return str(found["choices"][0]["message"]["content"])

    def job(self, host: str, user: str = "provision") -> list[str]:
        """Run tasks of Ray from a host; return the hosts that they ran on."""
        program = JOB.replace("ADDRESS", self.hosts["node1"].address)
        variables = f"RAY_AUTH_MODE=token RAY_AUTH_TOKEN={TOKEN}"
        python = "/opt/provision/environments/vllm/bin/python"
        command = f"cd /; timeout 120 runuser -u {user} -- env {variables} {python} - <<'END'\n{program}\nEND"
        found: list[str] = json.loads(self.sh(host, command).splitlines()[-1])
        return found


@pytest.fixture(scope="module")
def site(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    (play,) = yaml.safe_load(PLAYBOOK.read_text())
    base = Base(more=" ".join(play["packages"]))
    layer = installed(lab, play["environments"], base)
    hosts = lab.add(*NAMES, base=base, layers=(layer,))
    playbook = tmp_path_factory.mktemp("nodes") / "nodes.yml"
    playbook.write_text(PLAYBOOK.read_text())
    with Hub(hub_root(), address=lab.network.gateway) as hub:
        options = ["-i", str(lab.inventory), "-e", f"hub={hub.url}"]
        yield Site(hosts, Provision(options, {"RAY_TOKEN": TOKEN}), playbook)
    lab.remove(*NAMES)


def test_the_first_apply_ends_with_an_answer_of_both(site: Site) -> None:
    asked = {
        (proof["service"], proof["host"], proof["check"]) for proof in site.first.event("proof", ok=True)
    }
    assert asked == {
        ("chat", "node1", "nodes"),
        ("chat", "node1", "chat"),
        ("chat", "node2", "nodes"),
        ("cluster", "node1", "nodes"),
        ("cluster", "node2", "nodes"),
    }
    assert "provision" in site.chat()


def test_tasks_run_on_all_nodes_of_the_cluster(site: Site) -> None:
    # If root came first, its files were in the way of the tasks, which run as another user.
    assert site.job("node2", "root") == list(NAMES)
    assert site.job("node1") == list(NAMES)


def test_a_second_apply_changes_nothing_in_one_round_trip_a_host(site: Site) -> None:
    before, answer = (site.lives("chat"), site.lives("cluster")), site.provision.apply(site.playbook)
    for name in NAMES:
        assert answer.done(name)["counts"]["changed"] == 0
        assert answer.done(name)["executions"] == 1
    assert (site.lives("chat"), site.lives("cluster")) == before


def test_each_is_one_service_to_the_user(site: Site) -> None:
    status = site.provision.run("status", site.playbook).out.splitlines()[1:]
    assert sorted(line.split()[:3] for line in status) == [
        ["node1", "chat", "running"],
        ["node1", "cluster", "running"],
    ]
    assert {line.endswith("2 of 2 (node1, node2)") for line in status} == {True}
    logs = site.provision.run("logs", "chat", site.playbook, "-n", "5").out.splitlines()
    assert {line.split("  ")[0] for line in logs} == {"node1 rank 0", "node2 rank 1"}


def test_who_has_no_token_runs_nothing(site: Site) -> None:
    look = f"from ray._raylet import GcsClient; GcsClient(address='{site.hosts['node1'].address}:6379')"
    told = site.sh("node2", f'/opt/provision/environments/vllm/bin/python -c "{look}" 2>&1 || true')
    assert "InvalidAuthToken" in told
    assert TOKEN not in site.sh("node1", "ps axww; cat /opt/provision/services/*/start.sh")
    assert TOKEN not in "".join(site.provision.log)


def test_what_does_not_fit_together_is_found_before_anything_stops(site: Site) -> None:
    before, text = site.lives("chat"), site.playbook.read_text()
    site.playbook.write_text(text.replace("hosts: [node1, node2]}", "hosts: 2, interface: eth9}"))
    answer = site.provision.run("apply", site.playbook, "--yes")
    site.playbook.write_text(text)
    assert answer.code == 1
    assert "there is no interface eth9 with an address here (there are: host0)" in answer.out
    assert site.lives("chat") == before


def test_some_nodes_alone_are_not_started(site: Site) -> None:
    answer = site.provision.run("apply", site.playbook, "--yes", "--limit", "node2")
    assert answer.code == 1
    assert "select node1, too" in answer.err


def test_a_killed_engine_of_a_rank_restarts_both(site: Site) -> None:
    before = site.starts()
    site.sh("node2", "kill -KILL $(pgrep -f '[V]LLM::Worker')")
    site.wait(lambda: all(now > then for now, then in zip(site.starts(), before, strict=True)), "chat")
    log = site.sh("node1", "journalctl -o cat -u provision-chat")
    assert f"the program of {NAMES[1]} (rank 1) has ended" in log


def test_a_node_whose_raylet_was_ended_comes_back(site: Site) -> None:
    before = site.lives("cluster")
    site.sh("node2", "pkill -TERM -x raylet")  # after which `ray start --block` stays
    site.wait(lambda: site.lives("cluster")[1] != before[1] and site.complete(), "cluster")


def test_one_line_brings_the_service_to_the_cluster_by_one_restart(site: Site) -> None:
    before, cluster, text = site.starts(), site.lives("cluster"), site.playbook.read_text()
    assert MP in text
    site.playbook.write_text(text.replace(MP, RAY))
    site.provision.apply(site.playbook, timeout=1800)
    assert [now - then for now, then in zip(site.starts(), before, strict=True)] == [1, 1]
    assert site.lives("cluster") == cluster
    assert "provision" in site.chat()
    workers = [site.sh(name, "pgrep -c -f '^ray::RayWorkerProc' || true") for name in NAMES]
    assert workers == ["1", "1"]


def test_a_reboot_of_the_head_is_overcome_without_the_controller(site: Site) -> None:
    cluster, chat = site.lives("cluster"), site.lives("chat")
    site.hosts["node1"].reboot()
    site.wait(lambda: set(cluster).isdisjoint(site.lives("cluster")) and site.complete(), "cluster")
    site.wait(lambda: set(chat).isdisjoint(site.lives("chat")) and site.started(), "chat")
    assert "provision: chat: ends: " in site.sh("node2", "journalctl -o cat -u provision-chat")


def test_no_process_and_no_shared_memory_is_left_over(site: Site) -> None:
    removed = site.provision.run(
        "remove", site.playbook, "--service", "chat", "--service", "cluster", "--yes"
    )
    assert removed.code == 0, removed.out
    order = [line for line in removed.out.splitlines() if "service" in line]
    assert order
    for host in NAMES:
        assert site.sh(host, "pgrep -u provision || true") == ""
        assert site.sh(host, "ls /dev/shm; ls /opt/provision/services/cluster") == ""
