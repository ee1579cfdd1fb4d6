"""One vLLM over several hosts: which hosts are its nodes, what each starts, and what cannot be."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from provision.config.problems import ConfigError
from provision.fleet.fleet import Fleet
from provision.fleet.waves import waves
from provision.project.load import load
from provision.project.project import Selection

HOSTS = """
hosts:
  g1: {address: 10.0.0.1, user: ops, become: true}
  g2: {address: 10.0.0.2, user: ops, become: true}
  g3: {address: 10.0.0.3, user: ops, become: true}
  g4: {address: 10.0.0.4, user: ops, become: true}
groups: {pair: {hosts: [g1, g2]}}
"""

PLAY = """
- hosts: HOSTS
  environments: {vllm: {packages: ["vllm==VERSION"]}}
  models: {m: {path: /data/m}}
  services:
    chat: {kind: vllm, environment: vllm, model: m, port: 8000, nodes: NODES, SIZES}
"""


class Site:
    def __init__(self, root: Path) -> None:
        self.root = root

    def fleet(
        self,
        nodes: str = "{hosts: [g1, g2]}",
        sizes: str = "tensor_parallel_size: 2",
        hosts: str = "[g1, g2]",
        version: str = "0.33.0",
        more: str = "",
        limit: str | None = None,
    ) -> Fleet:
        text = PLAY.replace("NODES", nodes).replace("SIZES", sizes)
        text = text.replace("HOSTS", hosts).replace("VERSION", version)
        playbook, inventory = self.root / "p.yml", self.root / "i.yml"
        playbook.write_text(text + more)
        inventory.write_text(HOSTS)
        return load(Selection((playbook,), (inventory,), limit=limit)).fleet

    def problem(self, **said: str) -> str:
        with pytest.raises(ConfigError) as error:
            self.fleet(**said)
        return re.sub(r"^\S+: ", "", str(error.value.problems[0]))


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path)


def script(fleet: Fleet, host: str) -> str:
    found = [each for each in fleet.catalogs[host].resources if each.id.endswith("chat/start.sh")]
    return str(found[0].spec.content)  # type: ignore[attr-defined]


def test_each_node_gets_the_flags_of_its_rank(site: Site) -> None:
    fleet = site.fleet()
    head, other = script(fleet, "g1"), script(fleet, "g2")
    for rank, text in enumerate((head, other)):
        assert f"rank.py chat --rank {rank} --nodes g1,g2 --head 10.0.0.1 --port 29501" in text
        assert f"--node-rank {rank} " in text
        assert '--master-addr "$PROVISION_HEAD"' in text
        for flag in ("--nnodes 2", "--master-port 29500", "--distributed-executor-backend mp"):
            assert flag in text
    assert "--serves 127.0.0.1:8000" in head
    assert "--serves" not in other
    assert "api_server" in head
    assert "vllm_headless.py" in other
    assert [text.count("--headless") for text in (head, other)] == [0, 1]


def test_nodes_start_together_only_with_the_same_options(site: Site) -> None:
    def declared(fleet: Fleet) -> list[str]:
        return [re.findall(r"--declared (\w+)", script(fleet, host))[0] for host in ("g1", "g2")]

    first = declared(site.fleet())
    again = declared(site.fleet(sizes="tensor_parallel_size: 2, max_num_seqs: 7"))
    assert first[0] == first[1] != again[0] == again[1]


def test_the_head_alone_has_the_address_and_is_asked(site: Site) -> None:
    fleet = site.fleet()
    head, other = fleet.endpoints
    assert (head.facts.port, head.facts.url) == (8000, "http://10.0.0.1:8000")
    assert (other.facts.port, other.facts.url) == (None, None)
    checks = {
        host: [check.NAME for each in catalog.resources if each.proves for check in each.spec.checks]  # type: ignore[attr-defined]
        for host, catalog in fleet.catalogs.items()
    }
    assert checks == {"g1": ["nodes", "fitting"], "g2": ["nodes"]}


@pytest.mark.parametrize(
    ("nodes", "hosts", "groups"),
    [
        ("{hosts: [g2, g1]}", "[g1, g2]", {("g2", "g1")}),
        ("{hosts: pair}", "[g1, g2]", {("g1", "g2")}),
        ("{hosts: 2}", "all", {("g1", "g2"), ("g3", "g4")}),
        ("{hosts: 2}", "'all:!g2:!g4'", {("g1", "g3")}),
    ],
)
def test_nodes_are_hosts_a_group_or_a_number(
    site: Site, nodes: str, hosts: str, groups: set[tuple[str, ...]]
) -> None:
    assert set(site.fleet(nodes, hosts=hosts).groups) == groups


@pytest.mark.parametrize(
    ("said", "problem"),
    [
        (
            {"nodes": "{hosts: [g1, g3]}"},
            "host `g3` is not one of the play; hosts of the play: g1, g2",
        ),
        ({"nodes": "{hosts: [g1, g2]}", "hosts": "[g1, g2, g3]"}, "host g3 of the play is not in `nodes`"),
        ({"nodes": "{hosts: 2}", "hosts": "[g1, g2, g3]"}, "the play has 3 hosts, which cannot be divided"),
        ({"nodes": "{hosts: [g1]}", "hosts": "g1"}, "`nodes` is one host alone"),
        ({"nodes": "{hosts: pear}"}, "no host of the play is in the group `pear`; did you mean `pair`?"),
        ({"sizes": "tensor_parallel_size: 3"}, "tensor 3 × pipeline 1 × data 1 is 3 GPUs, which 2 nodes"),
        ({"sizes": "max_num_seqs: 3"}, "tensor 1 × pipeline 1 × data 1 is 1 GPU, which 2 nodes"),
        (
            {"sizes": "tensor_parallel_size: 2, data_parallel_size: 3"},
            "tensor 2 × pipeline 1 × data 3 is 6 GPUs, 3 on each of 2 nodes, which is no whole number",
        ),
        (
            {"sizes": "tensor_parallel_size: 4, gpus: [0]"},
            "tensor 4 × pipeline 1 × data 1 is 4 GPUs, 2 on each of 2 nodes, but `gpus` lists 1",
        ),
        ({"version": "0.11.1"}, "nodes (--nnodes) needs vLLM 0.11.2 or later; the environment has 0.11.1"),
        (
            {"sizes": "tensor_parallel_size: 2, supervisor: script"},
            "nodes are supervised by systemd, and a script supervises on host g1",
        ),
        (
            {"sizes": "tensor_parallel_size: 2, extra_args: [--master-port, '1']"},
            "--master-port and the field nodes are about the same",
        ),
    ],
)
def test_what_does_not_fit_is_said_with_its_numbers(site: Site, said: dict[str, str], problem: str) -> None:
    assert problem in site.problem(**said)


def test_the_nodes_of_a_service_are_in_one_wave(site: Site) -> None:
    fleet = site.fleet("{hosts: 2}", hosts="all")
    assert waves(fleet).hosts == (("g1", "g2"), ("g3", "g4"))


def test_a_part_of_the_nodes_knows_the_others(site: Site) -> None:
    fleet = site.fleet(limit="g2")
    assert list(fleet.catalogs) == ["g2"]
    assert fleet.groups == [("g1", "g2")]


def test_a_gateway_passes_requests_to_the_head_alone(site: Site) -> None:
    more = """
- hosts: g3
  services:
    front: {kind: gateway, upstreams: [chat]}
"""
    fleet = site.fleet(more=more)
    (config,) = [each for each in fleet.catalogs["g3"].resources if each.id.endswith("haproxy.cfg")]
    content = str(config.spec.content)  # type: ignore[attr-defined]
    assert "10.0.0.1:8000" in content
    assert "10.0.0.2" not in content


def rule(fleet: Fleet, host: str) -> str:
    found = [each for each in fleet.catalogs[host].resources if each.id.endswith("chat/firewall.nft")]
    return str(found[0].spec.content)  # type: ignore[attr-defined]


def test_the_firewall_lets_in_the_nodes_alone(site: Site) -> None:
    fleet = site.fleet(nodes="{hosts: [g1, g2], interface: eth1, firewall: true}")
    text = rule(fleet, "g2")
    assert 'iifname "eth1" ip saddr { 10.0.0.1, 10.0.0.2 } accept' in text
    assert "tcp dport { 22, 8000 } accept" in text
    assert text.index("accept") < text.index("drop")
    assert "tcp dport 29500-29502 drop" in text
    assert "ip daddr 10.0.0.2 tcp dport 32768-60999 tcp flags & (syn | ack) == syn drop" in text
    (unit,) = [each for each in fleet.catalogs["g2"].resources if each.id.endswith("provision-chat.service")]
    lines = str(unit.spec.content).splitlines()  # type: ignore[attr-defined]
    assert 'ExecStartPre=+/usr/sbin/nft -f "/opt/provision/services/chat/firewall.nft"' in lines
    assert "ExecStopPost=-+/usr/sbin/nft delete table inet provision-chat" in lines


def test_the_nodes_are_not_compared_before_their_environment_is_made(site: Site) -> None:
    fleet = site.fleet(nodes="{hosts: [g1, g2], firewall: true}")
    files = [each for each in fleet.catalogs["g1"].resources if each.triggers == ["chat"] and each.service]
    assert len(files) == 4
    assert all("environment:vllm" in each.needs for each in files)


def test_without_a_firewall_there_is_no_rule(site: Site) -> None:
    assert not [each for each in site.fleet().catalogs["g1"].resources if "nft" in each.id]


def test_the_firewall_needs_addresses(site: Site) -> None:
    nodes = "{hosts: [g1, g2], firewall: true, addresses: {g1: gpu.example.org}}"
    assert "the firewall needs addresses, and gpu.example.org is a name" in site.problem(nodes=nodes)


def test_a_unit_of_ones_own_has_to_close_the_firewall(site: Site) -> None:
    folder = site.root / "templates"
    folder.mkdir()
    (folder / "service.unit.j2").write_text("[Service]\nExecStart=/bin/sh {{ script }}\n")
    assert "leaves out `before`" in site.problem(nodes="{hosts: [g1, g2], firewall: true}")
