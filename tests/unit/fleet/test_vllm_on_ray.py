"""One vLLM on a Ray cluster: what it is started with, when it restarts, and what cannot be."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from provision.config.problems import ConfigError
from provision.fleet.fleet import Fleet
from provision.fleet.waves import waves
from provision.project.load import load
from provision.project.project import Selection
from provision.wire.specs.file import FileSpec
from provision.wire.specs.unit import UnitSpec
from tests.unit.fleet.conftest import Project, record, resource

HOSTS = """
hosts:
  a: {connection: ssh, address: 10.0.0.1, user: root, gpus: [8xH100]}
  b: {connection: ssh, address: 10.0.0.2, user: root, gpus: [8xH100]}
"""

RAY, VLLM = "ray==2.60.0", "vllm==0.33.0"


def play(
    chat: dict[str, Any] | None = None,
    cluster: dict[str, Any] | None = None,
    packages: tuple[str, ...] = (VLLM, RAY),
    own: tuple[str, ...] | None = None,
    more: dict[str, Any] | None = None,
) -> list[dict[str, Any]]:
    """Return a play with a service on a cluster, in that one's environment unless it has its `own`."""
    service = {
        "kind": "vllm",
        "environment": "e" if own is None else "own",
        "model": "m",
        "port": 8000,
        "nodes": {"engine": "ray", "cluster": "cluster"},
        "tensor_parallel_size": 16,
        **(chat or {}),
    }
    environments = {"e": {"packages": list(packages)}, **({"own": {"packages": list(own)}} if own else {})}
    services = {
        "chat": {name: value for name, value in service.items() if value is not None},
        "cluster": {"kind": "ray", "environment": "e", "head": "b", "token": {"env": "T"}, **(cluster or {})},
        **(more or {}),
    }
    return [
        {
            "hosts": ["a", "b"],
            "environments": environments,
            "models": {"m": {"path": "/data/m"}},
            "services": services,
        }
    ]


def compiled(project: Project, plays: list[dict[str, Any]]) -> Fleet:
    project.write("inventories/hosts.yml", HOSTS)
    return load(Selection((project.write("playbooks/site.yml", json.dumps(plays)),))).fleet


def script(fleet: Fleet, host: str) -> str:
    return record(fleet.catalogs[host], "file:/opt/provision/services/chat/start.sh", FileSpec).content


def test_the_head_of_the_cluster_serves_and_the_others_wait_for_its_end(project: Project) -> None:
    fleet = compiled(project, play())
    head, other = script(fleet, "b"), script(fleet, "a")
    for rank, text in enumerate((head, other)):
        assert f"rank.py chat --rank {rank} --nodes b,a --head 10.0.0.2 --port 29501" in text
        assert "ray_user.py chat --cluster cluster --state /var/lib/provision/cluster/node.json" in text
        assert "export RAY_ADDRESS=10.0.0.2:6379" in text
        assert "export RAY_AUTH_MODE=token" in text
        assert "export VLLM_RPC_BASE_PATH=/var/lib/provision/cluster/ray/session_latest/sockets\n" in text
    assert "node.json -- " in head
    assert "--distributed-executor-backend ray" in head
    assert "api_server" not in other
    assert "--nnodes" not in head
    assert 'PROVISION_HEAD"' not in head


def test_it_is_one_service_with_one_address(project: Project) -> None:
    fleet = compiled(project, play())
    urls = {each.host: each.facts.url for each in fleet.endpoints if each.facts.service == "chat"}
    assert urls == {"b": "http://10.0.0.2:8000", "a": None}
    assert waves(fleet).hosts == (("a", "b"),)


def test_the_token_of_the_cluster_is_in_its_env_file_alone(project: Project) -> None:
    fleet = compiled(project, play())
    env = record(fleet.catalogs["a"], "file:/opt/provision/services/chat/env", FileSpec)
    assert "RAY_AUTH_TOKEN=" in env.content
    assert env.mode == "0600"
    assert "RAY_AUTH_TOKEN" not in script(fleet, "a")


def test_it_comes_after_the_cluster_and_restarts_with_it(project: Project) -> None:
    catalog = compiled(project, play()).catalogs["a"]
    assert resource(catalog, "unit:cluster").triggers == ["chat"]
    assert {"unit:cluster", "probe:cluster"} <= set(resource(catalog, "unit:chat").needs)
    unit = record(catalog, "file:/etc/systemd/system/provision-chat.service", FileSpec).content
    assert "After=network-online.target provision-cluster.service\n" in unit
    assert 'ReadWritePaths=-"/var/lib/provision/cluster"\n' in unit
    assert record(catalog, "unit:chat", UnitSpec).follows == ["provision-cluster.service"]


def test_the_nodes_compare_themselves_and_try_their_one_port(project: Project) -> None:
    fleet = compiled(project, play())
    meetings = {host: record(fleet.catalogs[host], "unit:chat", UnitSpec).meeting for host in "ab"}
    assert meetings["a"] is not None
    assert meetings["b"] is not None
    assert (meetings["a"].ports, meetings["b"].ports) == ([], [29501])
    assert meetings["a"].models == {"m": "/data/m"}


def test_its_workers_run_in_its_own_environment(project: Project) -> None:
    assert "JOB_CONFIG" not in script(compiled(project, play()), "b")
    text = script(compiled(project, play(packages=(RAY,), own=(RAY, VLLM))), "b")
    found = re.findall(r"RAY_JOB_CONFIG_JSON_ENV_VAR='(.*)'", text)
    python = json.loads(found[0])["runtime_env"]["py_executable"]
    assert re.fullmatch(r"/opt/provision/environments/own-\w+/bin/python", python)


def test_several_services_share_a_cluster(project: Project) -> None:
    other = play(chat={"port": 8001, "nodes": {"engine": "ray", "cluster": "cluster", "port": 29600}})
    more = {"other": {**other[0]["services"]["chat"], "tensor_parallel_size": 8}}
    catalog = compiled(project, play(chat={"tensor_parallel_size": 8}, more=more)).catalogs["a"]
    assert resource(catalog, "unit:cluster").triggers == ["chat", "other"]


MORE = {
    "other": {
        "kind": "vllm",
        "environment": "e",
        "model": "m",
        "port": 8001,
        "nodes": {"engine": "ray", "cluster": "cluster", "port": 29600},
        "tensor_parallel_size": 2,
    }
}


@pytest.mark.parametrize(
    ("plays", "problem"),
    [
        (
            play(chat={"tensor_parallel_size": 32}),
            "tensor 32 × pipeline 1 is 32 GPUs, and cluster cluster has 16 on 2 hosts",
        ),
        (
            play(cluster={"gpus": [0]}),
            "tensor 16 × pipeline 1 is 16 GPUs, and cluster cluster has 2 on 2 hosts",
        ),
        (play(more=MORE), "is 16 GPUs, other needs 2, and cluster cluster has 16 on 2 hosts"),
        (play(chat={"gpus": [0]}), "Ray chooses the GPUs, among those that the cluster offers"),
        (play(chat={"data_parallel_size": 2}), "data parallel is not for `engine: ray`"),
        (play(chat={"user": "root"}), "both have to run as the same user"),
        (
            play(packages=(RAY,), own=(VLLM,)),
            "environment own does not install ray, by which vLLM speaks to cluster cluster",
        ),
        (play(packages=(RAY,), own=(VLLM, "ray")), "environment own does not pin ray"),
        (
            play(packages=(RAY,), own=(VLLM, "ray==2.59.0")),
            "environment own has ray 2.59.0, and cluster cluster has 2.60.0",
        ),
        (
            play(chat={"nodes": {"engine": "ray", "cluster": "clutser"}}),
            "the play has no service `clutser` of kind ray; did you mean `cluster`?",
        ),
        (play(chat={"nodes": {"engine": "ray"}}), "`engine: ray` needs `cluster`"),
        (play(chat={"nodes": {"engine": "mp"}}), "`engine: mp` needs `hosts`"),
        (play(chat={"nodes": {"hosts": 2, "cluster": "cluster"}}), "`cluster` is not for `engine: mp`"),
        (
            play(chat={"nodes": {"engine": "ray", "cluster": "cluster", "interface": "eth1"}}),
            "`interface` is not for `engine: ray`; the cluster says it",
        ),
    ],
)
def test_what_does_not_fit_is_said_at_its_place(
    project: Project, plays: list[dict[str, Any]], problem: str
) -> None:
    with pytest.raises(ConfigError) as error:
        compiled(project, plays)
    found = {str(each) for each in error.value.problems}
    assert any(problem in each for each in found), found
