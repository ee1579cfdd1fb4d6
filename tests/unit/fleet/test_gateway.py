"""Gateways: what is behind them on all hosts, and the configuration that follows from it."""

from __future__ import annotations

import hashlib
import json
import re

import pytest

from provision.catalog.catalog import Catalog
from provision.catalog.text import reveal
from provision.config.problems import ConfigError
from provision.fleet.edges import Edge, Node
from provision.fleet.fleet import Fleet
from provision.kinds.common.offer import OPENAI
from provision.project.load import load
from provision.project.project import Selection
from provision.rollout.keyring import Keyring
from provision.rollout.request import build
from provision.wire.checks import Fitting
from provision.wire.requests import Apply
from provision.wire.specs.apt import AptSpec, Package
from provision.wire.specs.file import FileSpec
from provision.wire.specs.probe import ProbeSpec
from provision.wire.specs.unit import UnitSpec
from tests.unit.fleet.conftest import Project, record, resource

HOSTS = """
  a: {connection: ssh, address: 10.0.0.1, user: root}
  b: {connection: ssh, address: 10.0.0.2, user: root}
  front: {connection: ssh, address: 10.0.0.9, user: root}
"""

SERVICE = "r1: {kind: program, command: [/opt/serve], port: 8001, served_model_name: r1%s}"


def playbook(gateway: str = "", service: str = "", hosts: str = "[a, b]", more: str = "") -> str:
    return f"""
        - hosts: {hosts}
          services:
            {SERVICE % service}
        {more}
        - hosts: front
          services:
            gateway:
              kind: gateway
              upstreams: [r1]
              {gateway or "keys: {alice: {env: ALICE}}"}
    """


def compiled(project: Project, text: str, limit: str | None = None, hosts: str = HOSTS) -> Fleet:
    project.write("inventories/hosts.yml", f"hosts:\n{hosts}")
    return load(Selection((project.write("playbooks/site.yml", text),), limit=limit)).fleet


def problems(project: Project, text: str, hosts: str = HOSTS) -> list[str]:
    with pytest.raises(ConfigError) as error:
        compiled(project, text, hosts=hosts)
    return [str(each).rpartition("site.yml:")[2] for each in error.value.problems]


def content(catalog: Catalog, name: str) -> str:
    return record(catalog, f"file:/opt/provision/services/gateway/{name}", FileSpec).content


def configuration(project: Project, text: str) -> str:
    return content(compiled(project, text).catalogs["front"], "haproxy.cfg")


def servers(text: str) -> list[str]:
    return re.findall(r"^    server (.*?) *$", text, re.MULTILINE)


def test_replicas_are_found_on_all_hosts(project: Project) -> None:
    fleet = compiled(project, playbook())
    assert servers(content(fleet.catalogs["front"], "haproxy.cfg")) == [
        "a '10.0.0.1:8001'",
        "b '10.0.0.2:8001'",
    ]
    proof = Node("front", "probe:gateway")
    assert fleet.edges == (Edge(Node("a"), proof, "proof"), Edge(Node("b"), proof, "proof"))
    assert fleet.deferred("front") == {"probe:gateway": ["a", "b"]}


def test_a_gateway_does_not_wait_for_its_servers_while_they_are_set_up(project: Project) -> None:
    """Its page says 503 until one is up, which may take an installation: its proof comes last."""
    fleet = compiled(project, playbook("keys: {}"))
    asked = Apply(playbooks=[], partial=False, deep=False, prune=False, verify=False, rollback=True)
    for deferred, expected in ((fleet.deferred("front"), (False, "running")), ((), (True, "fitting"))):
        sent = json.loads(build(fleet.catalogs["front"], asked, Keyring(), deferred))
        (probe,) = (each["spec"] for each in sent["resources"] if each["id"] == "probe:gateway")
        assert (probe["health"], probe["checks"][0]["type"]) == expected


def test_a_limit_leaves_no_replica_out(project: Project) -> None:
    whole = compiled(project, playbook())
    part = compiled(project, playbook(), limit="front")
    assert list(part.catalogs) == ["front"]
    assert part.catalogs["front"].resources == whole.catalogs["front"].resources
    assert part.edges == ()


def test_a_wrong_play_of_a_host_that_is_left_out_is_told(project: Project) -> None:
    wrong = playbook(more="- {hosts: b, services: {other: {kind: program, command: ['{{ nothing }}']}}}")
    with pytest.raises(ConfigError, match="nothing"):
        compiled(project, wrong, limit="front")


def test_a_replica_on_its_own_host_is_proven_first(project: Project) -> None:
    front = compiled(project, playbook(hosts="[a, front]")).catalogs["front"]
    assert servers(content(front, "haproxy.cfg")) == ["a '10.0.0.1:8001'", "front '127.0.0.1:8001'"]
    assert "probe:r1" in resource(front, "probe:gateway").needs


@pytest.mark.parametrize(
    ("service", "gateway", "place"),
    [
        (", host: 10.1.0.7", "", "10.1.0.7:8001"),
        (", host: 0.0.0.0", "addresses: {a: gpu-a.lan}", "gpu-a.lan:8001"),
        ("", "addresses: {a: 'fd00::1'}", "[fd00::1]:8001"),
    ],
)
def test_where_a_replica_is_reached(project: Project, service: str, gateway: str, place: str) -> None:
    text = configuration(project, playbook(gateway, service, "a"))
    assert servers(text) == [f"a '{place}'"]


def test_upstreams_that_cannot_be(project: Project) -> None:
    assert problems(project, playbook().replace("upstreams: [r1]", "upstreams: [r2]")) == [
        "10:19: there is no service `r2`; known: r1"
    ]
    (loopback,) = problems(project, playbook(service=", host: 127.0.0.1", hosts="a"))
    assert "on host a listens only on 127.0.0.1, which host front does not reach; let the" in loopback
    (without,) = problems(project, playbook(hosts="a").replace(", port: 8001", ""))
    assert "service r1 on host a has no port; let it listen on a port" in without
    twice = "- {hosts: a, services: {second: {kind: gateway, upstreams: [gateway]}}}"
    (itself,) = problems(project, playbook(more=twice))
    assert "is of kind gateway, which takes no requests from a gateway" in itself
    here = HOSTS.replace("ssh, address: 10.0.0.1, user: root", "local, become: true")
    (unknown,) = problems(project, playbook(hosts="a"), hosts=here)
    assert "the address of host a (connection local) is not known; say where host front" in unknown


@pytest.mark.parametrize(
    ("other", "differ"),
    [
        ("program, command: [x], port: 1, served_model_name: r1, env: {VLLM_API_KEY: {env: K}}", "keys"),
        ("program, command: [x], port: 1, served_model_name: r2", "models"),
        ("container, image: x, ports: ['1:1'], served_model_name: r1", "kinds"),
    ],
)
def test_replicas_must_not_differ(project: Project, other: str, differ: str) -> None:
    text = playbook(hosts="a", more=f"- {{hosts: b, services: {{r1: {{kind: {other}}}}}}}")
    (found,) = problems(project, text)
    assert f"the replicas of r1 on a and b have different {differ}" in found


def test_ports_of_a_host_are_its_own_and_its_metrics(project: Project) -> None:
    more = "- {hosts: front, services: {web: {kind: program, command: [x], port: 8405}}}"
    with pytest.raises(ConfigError, match="port 8405 of service `gateway` is taken by service `web`"):
        compiled(project, playbook(more=more))


def test_keys_reach_the_host_as_digests_and_in_private_files(project: Project) -> None:
    fleet = compiled(project, playbook(service=", env: {VLLM_API_KEY: {env: UP}}"))
    front = fleet.catalogs["front"]
    for name in ("clients.map", "upstreams.map", "check.env"):
        spec = record(front, f"file:/opt/provision/services/gateway/{name}", FileSpec)
        assert (spec.mode, spec.secret) == ("0600", True)
    digest = hashlib.sha256(b"sk-ALICE").hexdigest().upper()

    def value(secret: object) -> str:
        return f"sk-{secret.reference[0]}"  # type: ignore[attr-defined]

    assert reveal(content(front, "clients.map"), value) == f"{digest} alice\n"
    assert reveal(content(front, "upstreams.map"), value) == "r1 sk-UP\n"
    assert reveal(content(front, "check.env"), value) == 'GATEWAY_KEY="sk-ALICE"\n'
    probe = record(front, "probe:gateway", ProbeSpec)
    assert (probe.key_file, probe.key_name) == ("/opt/provision/services/gateway/check.env", "GATEWAY_KEY")
    text = content(front, "haproxy.cfg")
    assert "digest(sha256),hex,map('/opt/provision/services/gateway/clients.map')" in text
    assert (
        'set-header Authorization "Bearer %[str(r1),map(/opt/provision/services/gateway/upstreams.map)]'
        in text
    )
    with pytest.raises(ConfigError, match="without blanks"):
        reveal(content(front, "clients.map"), lambda secret: "two words")


def test_without_keys_the_plan_warns_unless_it_is_for_its_own_host(project: Project) -> None:
    def notes(gateway: str) -> list[str]:
        return [each.code for each in compiled(project, playbook(gateway)).catalogs["front"].notes]

    assert notes("port: 8080") == ["open-gateway"]
    assert notes("host: 127.0.0.1") == []
    assert notes("") == []


def test_a_reload_takes_in_what_it_reads_and_nothing_else(project: Project) -> None:
    front = compiled(project, playbook()).catalogs["front"]
    unit = record(front, "unit:gateway", UnitSpec)
    triggering = {each.id for each in front.resources if "gateway" in each.triggers}
    assert set(unit.reloads) < triggering
    assert triggering - set(unit.reloads) == {
        "file:/opt/provision/services/gateway/start.sh",
        "file:/opt/provision/services/gateway/env",
        "file:/etc/systemd/system/provision-gateway.service",
    }


def test_a_certificate_of_the_play_is_read_again(project: Project) -> None:
    files = "files: {/etc/c.pem: {content: c}, /etc/k.pem: {content: k, secret: true}}"
    text = playbook("tls: {cert: /etc/c.pem, key: /etc/k.pem}").replace(
        "- hosts: front\n", f"- hosts: front\n          {files}\n"
    )
    front = compiled(project, text).catalogs["front"]
    made = "command:certificate of gateway"
    assert {made, "file:/etc/c.pem", "file:/etc/k.pem"} <= set(
        record(front, "unit:gateway", UnitSpec).reloads
    )
    assert resource(front, "file:/etc/c.pem").followers == {made: []}
    assert "ssl crt '/opt/provision/services/gateway/certificate.pem'" in content(front, "haproxy.cfg")


def test_its_packages_join_those_of_the_play(project: Project) -> None:
    text = playbook("tls: self-signed").replace(
        "- hosts: front\n", "- hosts: front\n          packages: [git, haproxy=2.6.12-1]\n"
    )
    packages = record(compiled(project, text).catalogs["front"], "apt", AptSpec).packages
    assert packages == [
        Package(name="git"),
        Package(name="haproxy", version="2.6.12-1", dormant="haproxy.service"),
        Package(name="openssl"),
    ]


def test_one_service_takes_everything_and_several_are_told_apart_by_the_model(project: Project) -> None:
    one = compiled(project, playbook()).catalogs["front"]
    assert record(one, "probe:gateway", ProbeSpec).checks == [Fitting()]
    assert "json_query" not in content(one, "haproxy.cfg")
    more = (
        "- {hosts: b, services: {r2: {kind: program, command: [x], port: 8002, served_model_name: org/r2}}}"
    )
    text = playbook(more=more).replace("upstreams: [r1]", "upstreams: [r1, r2]")
    two = compiled(project, text).catalogs["front"]
    assert content(two, "models.map") == "r1 r1\norg/r2 r2\n"
    assert [each["id"] for each in json.loads(content(two, "models.json"))["data"]] == ["r1", "org/r2"]
    assert record(two, "probe:gateway", ProbeSpec).checks == [Fitting(model="r1"), Fitting(model="org/r2")]


VLLM = """
        - hosts: a
          environments: {e: {packages: ["vllm==0.33.0"]}}
          models: {m: {path: /m}}
          services:
            r1: {kind: vllm, environment: e, model: m, port: 8001, api_key: {env: K}}
        - hosts: front
          services:
            gateway: {kind: gateway, upstreams: [r1], keys: {alice: {env: ALICE}}, paths: [GET /version]}
"""


def test_the_paths_of_vllm_that_are_open(project: Project) -> None:
    text = configuration(project, VLLM)
    opened = set(re.findall(r"acl open_(?:post|get) var\(txn.path\) -m str -- (.*)", text))
    paths = set(re.findall(r"'([^']+)'", " ".join(opened)))
    assert paths == {*OPENAI, "/v1/models", "/version"}
    assert "http-check expect status 200" in text
    assert not re.search(r"invocations|tokenize|collective_rpc|/sleep|/pause|/docs", text)


@pytest.mark.parametrize(
    ("field", "message"),
    [
        ("paths: [POST /v1/../x]", "no plain path"),
        ("paths: [/v1/x]", "expected a method and a path"),
        ("upstreams: []", "a gateway needs a service"),
        ("keys: {a: {env: K}, b: {env: K}}", "the keys `a` and `b` are the same secret"),
        ("tls: yes-please", "expected a certificate"),
        ("supervisor: script", "a gateway is supervised by systemd"),
        ("limits: {inspected: 1G}", "expected 16384 to 16777216 bytes"),
    ],
)
def test_wrong_fields(project: Project, field: str, message: str) -> None:
    text = playbook(field)
    text = text.replace("              upstreams: [r1]\n", "") if field.startswith("upstreams") else text
    (found,) = problems(project, text)
    assert message in found


def test_values_cannot_leave_their_quotes(project: Project) -> None:
    tricky = 'addresses: {a: "10.0.0.1:1\' check\\n"}'
    (found,) = problems(project, playbook(tricky, hosts="a"))
    assert "line break" in found
    text = configuration(project, playbook('addresses: {a: "x\' y"}', hosts="a"))
    assert servers(text) == [r"a 'x'\'' y:8001'"]
