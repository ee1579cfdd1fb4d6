"""A Ray cluster over two hosts, with the real Ray: complete, used, damaged, rebooted, removed."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import Any

import pytest

from tests.e2e.command import Provision
from tests.lab import Lab, LabHost

pytestmark = [pytest.mark.lab, pytest.mark.slow]

HOSTS = ("ray-1", "ray-2")

PLAY = """\
- hosts: [ray-1, ray-2]
  packages: [python3-venv]
  environments:
    ray: {packages: ["ray==2.60.0"]}
  services:
    cluster:
      kind: ray
      environment: ray
      head: ray-1
      token: {env: RAY_TOKEN}
      num_cpus: 1
      object_store_memory: 100MB
"""

TOKEN = "xq7ray-token-0123456789"

STATE = "/var/lib/provision/cluster/node.json"

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


class Cluster:
    """Two hosts, and the command line that makes them a cluster."""

    def __init__(self, lab: Lab, provision: Provision) -> None:
        self.hosts = {name: lab[name] for name in HOSTS}
        self.provision = provision
        self.first = provision.apply("play.yml")

    def sh(self, host: str, script: str) -> str:
        return self.hosts[host].exec(["sh", "-c", script]).stdout

    def complete(self, host: LabHost) -> bool:
        """Say whether the process that runs now on a host counts its cluster as complete."""
        words = f"systemctl show -p MainPID --value provision-cluster; cat {STATE}"
        pid, _, said = host.exec(["sh", "-c", words], check=False).stdout.partition("\n")
        try:
            state: dict[str, Any] = json.loads(said)
        except ValueError:
            return False
        return state["phase"] == "serving" and str(state["pid"]) == pid

    def require_complete(self, after: dict[str, str]) -> None:
        """Wait until all nodes are there again, in other lives of some than `after`."""
        until = time.monotonic() + 600  # Ray begins badly on a busy machine
        while time.monotonic() < until:
            if all(map(self.complete, self.hosts.values())) and after != self.lives(*after):
                return
            time.sleep(1)
        logs = [self.sh(name, "journalctl -u provision-cluster -n 60 -o cat --no-pager") for name in HOSTS]
        pytest.fail("the cluster does not come back:\n" + "\n".join(logs))

    def lives(self, *hosts: str) -> dict[str, str]:
        """Return what tells one life of the service on a host from the next."""
        words = "systemctl show -p InvocationID --value provision-cluster"
        return {host: self.sh(host, words).strip() for host in hosts}

    def job(self, host: str, user: str = "provision") -> list[str]:
        """Run tasks from a host; return the hosts that they ran on."""
        program = JOB.replace("ADDRESS", self.hosts["ray-1"].address)
        variables = f"RAY_AUTH_MODE=token RAY_AUTH_TOKEN={TOKEN}"
        python = (
            f"timeout 120 runuser -u {user} -- env {variables} /opt/provision/environments/ray/bin/python"
        )
        command = f"cd /; {python} - <<'END'\n{program}\nEND"
        found: list[str] = json.loads(self.sh(host, command).splitlines()[-1])
        return found


@pytest.fixture(scope="module")
def cluster(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    lab.add(*HOSTS)
    folder = tmp_path_factory.mktemp("ray")
    (folder / "play.yml").write_text(PLAY)
    yield Cluster(lab, Provision(["-i", str(lab.inventory)], {"RAY_TOKEN": TOKEN}, folder))
    lab.remove(*HOSTS)


def test_all_nodes_are_there_and_run_tasks(cluster: Cluster) -> None:
    proofs = cluster.first.event("proof")
    assert [each["received"] for each in proofs if each["ok"]] == ["ray-1, ray-2"] * 2
    # If root came first, its files were in the way of the tasks, which run as another user.
    assert cluster.job("ray-2", "root") == ["ray-1", "ray-2"]
    assert cluster.job("ray-1") == ["ray-1", "ray-2"]


def test_a_second_apply_changes_nothing_in_one_round_trip(cluster: Cluster) -> None:
    before = cluster.lives(*HOSTS)
    again = cluster.provision.apply("play.yml")
    assert {host: again.done(host)["counts"]["changed"] for host in HOSTS} == dict.fromkeys(HOSTS, 0)
    assert {again.done(host)["executions"] for host in HOSTS} == {1}
    assert cluster.lives(*HOSTS) == before


def test_who_has_no_token_runs_nothing(cluster: Cluster) -> None:
    look = f"from ray._raylet import GcsClient; GcsClient(address='{cluster.hosts['ray-1'].address}:6379')"
    told = cluster.sh("ray-2", f'/opt/provision/environments/ray/bin/python -c "{look}" 2>&1 || true')
    assert "InvalidAuthToken" in told
    assert TOKEN not in cluster.sh("ray-1", "ps axww; cat /opt/provision/services/cluster/start.sh")
    assert TOKEN not in "".join(cluster.provision.log)


def test_a_node_whose_raylet_was_ended_comes_back(cluster: Cluster) -> None:
    before = cluster.lives("ray-2")
    cluster.sh("ray-2", "pkill -TERM -x raylet")  # after which `ray start --block` stays
    cluster.require_complete(before)


def test_a_reboot_of_the_head_is_overcome_without_the_controller(cluster: Cluster) -> None:
    before = cluster.lives(*HOSTS)
    cluster.hosts["ray-1"].reboot()
    cluster.require_complete(before)
    assert cluster.lives("ray-2")["ray-2"] != before["ray-2"]  # the new head knew nothing of it
    assert cluster.job("ray-1") == ["ray-1", "ray-2"]
    assert cluster.provision.run("verify", "play.yml").code == 0


def test_no_process_and_no_shared_memory_is_left_over(cluster: Cluster) -> None:
    removed = cluster.provision.run("remove", "play.yml", "--service", "cluster", "--yes")
    assert removed.code == 0, removed.out
    for host in HOSTS:
        assert cluster.sh(host, "pgrep -u provision || true") == ""
        assert cluster.sh(host, "ls /dev/shm; ls /opt/provision/services/cluster") == ""
