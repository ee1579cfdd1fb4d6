"""Ray clusters: the nodes of one, and what each is started with."""

from __future__ import annotations

import json
from typing import Any

import pytest

from provision.config.problems import ConfigError
from provision.fleet.fleet import Fleet
from provision.fleet.waves import waves
from provision.project.load import load
from provision.project.project import Selection
from provision.wire.checks import Together
from provision.wire.specs.file import FileSpec
from provision.wire.specs.probe import ProbeSpec
from provision.wire.specs.unit import UnitSpec
from tests.unit.fleet.conftest import Project, record, resource

HOSTS = """
  a: {connection: ssh, address: 10.0.0.1, user: root}
  b: {connection: ssh, address: 10.0.0.2, user: root}
  c: {connection: ssh, address: 10.0.0.3, user: root}
"""


def play(hosts: str = "[a, b]", packages: str = "ray==2.60.0", **fields: Any) -> str:
    service = {"kind": "ray", "environment": "e", "head": "b", **fields}
    return json.dumps(
        [
            {
                "hosts": hosts if hosts == "all" else hosts.strip("[]").split(", "),
                "environments": {"e": {"packages": packages.split()}},
                "services": {"cluster": service},
            }
        ]
    )


def compiled(project: Project, text: str, hosts: str = HOSTS, limit: str | None = None) -> Fleet:
    project.write("inventories/hosts.yml", f"hosts:\n{hosts}")
    return load(Selection((project.write("playbooks/site.yml", text),), limit=limit)).fleet


def problems(project: Project, text: str, hosts: str = HOSTS) -> list[str]:
    with pytest.raises(ConfigError) as error:
        compiled(project, text, hosts=hosts)
    return list(dict.fromkeys(str(each).rpartition("site.yml:")[2] for each in error.value.problems))


def script(fleet: Fleet, host: str) -> str:
    return record(fleet.catalogs[host], "file:/opt/provision/services/cluster/start.sh", FileSpec).content


def together(fleet: Fleet, host: str) -> Together:
    (check,) = record(fleet.catalogs[host], "probe:cluster", ProbeSpec).checks
    assert isinstance(check, Together)
    return check


def test_the_head_is_the_first_node_and_all_are_told_where_it_is(project: Project) -> None:
    fleet = compiled(project, play())
    assert [together(fleet, host).node.rank for host in "ab"] == [1, 0]
    assert {tuple(together(fleet, host).node.names) for host in "ab"} == {("b", "a")}
    for host in "ab":
        assert f"--node {host} --head b --address 10.0.0.2 --port 6379 " in script(fleet, host)
    assert "--include-dashboard false" in script(fleet, "b")
    assert "--include-dashboard" not in script(fleet, "a")  # only a head takes it


def test_nodes_are_changed_in_one_wave(project: Project) -> None:
    assert waves(compiled(project, play("all"))).hosts == (("a", "b", "c"),)


def test_a_further_node_restarts_no_other(project: Project) -> None:
    two, three = compiled(project, play()), compiled(project, play("all"))
    for host in "ab":
        before, after = ({each.id: each for each in fleet.catalogs[host].resources} for fleet in (two, three))
        changed = [id for id in before if before[id].spec != after[id].spec]
        names = "file:/opt/provision/services/cluster/nodes.json"
        assert sorted(changed) == [names, "probe:cluster", "unit:cluster"]
        units = [found["unit:cluster"].spec.replace(meeting=None) for found in (before, after)]
        assert units[0] == units[1]
        assert after[names].triggers == []


def test_a_node_that_is_left_out_is_still_a_node(project: Project) -> None:
    fleet = compiled(project, play(), limit="a")
    assert list(fleet.catalogs) == ["a"]
    assert together(fleet, "a").node.names == ["b", "a"]


def test_the_token_is_in_no_script(project: Project) -> None:
    fleet = compiled(project, play(token={"env": "RAY_TOKEN"}))
    assert "export RAY_AUTH_MODE=token" in script(fleet, "a")
    env = record(fleet.catalogs["a"], "file:/opt/provision/services/cluster/env", FileSpec)
    assert env.mode == "0600"
    assert "RAY_AUTH_TOKEN" in env.content
    assert not fleet.catalogs["a"].notes


def test_without_a_token_the_plan_says_who_may_run_programs(project: Project) -> None:
    fleet = compiled(project, play())
    assert [note.code for note in fleet.catalogs["a"].notes] == ["open-cluster"]
    assert "export RAY_AUTH_MODE=disabled" in script(fleet, "a")


def test_all_ports_are_known_before_a_start(project: Project) -> None:
    fleet = compiled(project, play(packages="ray[default]==2.60.0", port=7000, dashboard_port=8265))
    unit = record(fleet.catalogs["b"], "unit:cluster", UnitSpec)
    assert [place.port for place in unit.beside] == [*range(7000, 7008), 8265]
    assert unit.beside[-1].bind == "127.0.0.1"
    further = record(fleet.catalogs["a"], "unit:cluster", UnitSpec)
    assert [place.port for place in further.beside] == list(range(7001, 7007))


def test_a_killed_task_does_not_end_its_node(project: Project) -> None:
    unit = resource(
        compiled(project, play()).catalogs["a"], "file:/etc/systemd/system/provision-cluster.service"
    )
    assert isinstance(unit.spec, FileSpec)
    assert "OOMPolicy=continue" in unit.spec.content


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (play(packages="ray"), "environment e does not pin ray, and all nodes need the same"),
        (play(packages="ray>=2.50"), "environment e does not pin ray, and all nodes need the same"),
        (play(packages="vllm==0.33.0"), "environment e does not install ray"),
        (play(packages="ray==2.9.0"), "environment e has ray 2.9.0, and nodes are watched from 2.44 on"),
        (play(packages="ray==2.51.0", token={"env": "T"}), "ray 2.51.0 asks for no token"),
        (play(dashboard_port=8265), "the dashboard is not in environment e"),
        (play(head="x"), "host `x` is not one of the play"),
        (play(addresses={"b": "8.8.8.8"}), "8.8.8.8 is a public address"),
        (play(addresses={"b": "0.0.0.0"}), "0.0.0.0 is no address by which other hosts reach b"),
        (play(checks=[{"http": "/"}]), "a Ray cluster answers no requests"),
        (play(env={"RAY_AUTH_TOKEN": "x"}), "RAY_AUTH_TOKEN is what the field token sets"),
        (play(object_store_memory="10MB"), "Ray wants at least 75 MiB for objects"),
        (play(min_worker_port=6380), "ports 6379 to 6386 are those of Ray's own processes"),
        (play(min_worker_port=9000, max_worker_port=8000), "the last port is before the first one"),
        (play(dashboard_port=6380), "port 6380 is one of Ray's own processes"),
        (play(resources={"GPU": 1}), "`GPU` is not a resource of one's own"),
        (play(resources={"nvme": "a"}), "expected a number for `nvme`"),
        (play(temp_dir="/srv/" + "x" * 60), "bytes too long for the sockets"),
        (play(interface="eth 1"), "expected the name of a network interface"),
    ],
)
def test_what_cannot_work_is_said_with_its_place(project: Project, text: str, problem: str) -> None:
    found = problems(project, text)
    assert len(found) == 1, found
    assert problem in found[0]


def test_a_public_address_needs_a_token(project: Project) -> None:
    hosts = HOSTS.replace("10.0.0.2", "8.8.8.8")
    assert "8.8.8.8 is a public address" in problems(project, play(), hosts)[0]
    compiled(project, play(token={"env": "RAY_TOKEN"}), hosts)


def test_a_head_that_is_not_reached_by_ssh_needs_an_address(project: Project) -> None:
    hosts = HOSTS.replace(
        "b: {connection: ssh, address: 10.0.0.2, user: root}", "b: {connection: local, become: true}"
    )
    assert "the address of host b (connection local) is not known" in problems(project, play(), hosts)[0]
    fleet = compiled(project, play(addresses={"b": "10.0.0.9"}), hosts)
    assert "--address 10.0.0.9 " in script(fleet, "a")


def test_nodes_compare_themselves_and_try_the_ports_of_each_other(project: Project) -> None:
    fleet = compiled(project, play(dashboard_port=8265, packages="ray[default]==2.60.0", interface="eth1"))
    meetings = {host: record(fleet.catalogs[host], "unit:cluster", UnitSpec).meeting for host in "ab"}
    assert meetings["a"] is not None
    assert meetings["b"] is not None
    assert meetings["b"].ports == list(range(6379, 6387))
    assert meetings["a"].ports == list(range(6380, 6386))
    assert {each.node.joins for each in meetings.values() if each is not None} == {True}
    assert meetings["a"].interface == "eth1"


def rule(fleet: Fleet, host: str) -> str:
    return str(
        record(fleet.catalogs[host], "file:/opt/provision/services/cluster/firewall.nft", FileSpec).content
    )


def test_the_firewall_closes_what_nodes_open_to_all_but_them(project: Project) -> None:
    fleet = compiled(project, play(firewall=True, interface="eth1"))
    text = rule(fleet, "a")
    assert 'iifname "eth1" ip saddr { 10.0.0.2, 10.0.0.1 } accept' in text
    assert "tcp dport { 22 } accept" in text
    for ports in ("6379-6386", "20000-20999", "44217-44217"):
        assert f"tcp dport {ports} drop" in text
    assert "ip daddr 10.0.0.1 tcp dport 32768-60999 tcp flags & (syn | ack) == syn drop" in text
    unit = record(fleet.catalogs["a"], "file:/etc/systemd/system/provision-cluster.service", FileSpec)
    load = '+/usr/sbin/nft -f "/opt/provision/services/cluster/firewall.nft"'
    lines = str(unit.content).splitlines()
    assert {f"ExecStartPre={load}", f"ExecReload={load}"} <= set(lines)


def test_a_further_node_is_let_in_without_a_restart(project: Project) -> None:
    two, three = compiled(project, play(firewall=True)), compiled(project, play("all", firewall=True))
    assert "10.0.0.3" in rule(three, "a")
    before, after = (record(fleet.catalogs["a"], "unit:cluster", UnitSpec) for fleet in (two, three))
    assert before.reloads == after.reloads == ["file:/opt/provision/services/cluster/firewall.nft"]


def test_the_firewall_needs_addresses(project: Project) -> None:
    (told,) = problems(project, play(firewall=True, addresses={"a": "gpu.example.org"}))
    assert "the firewall needs addresses, and gpu.example.org is a name" in told
