"""What is sent to hosts, against what the host side makes of it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from provision.catalog.catalog import Catalog
from provision.config.secrets import Secret
from provision.host.resources import make
from provision.project.load import load
from provision.project.project import Selection
from provision.rollout import request
from provision.rollout.keyring import Keyring
from provision.wire.checks import Check, Pooling
from provision.wire.record import Mismatch
from provision.wire.requests import Inspect, Request, Status
from provision.wire.specs.probe import ProbeSpec
from tests.unit.test_docs import EXAMPLES, ROOT, example

SHIPPED = sorted([*ROOT.glob("playbooks/*.yml"), *ROOT.glob("tests/lab/playbooks/*.yml")])

HOSTS = """
hosts:
  h1: {connection: ssh, address: 192.0.2.1, user: root}
  h2: {connection: ssh, address: 192.0.2.2, user: root}
  h3: {connection: ssh, address: 192.0.2.3, user: root}
  localhost: {connection: local}
groups: {gpu: {hosts: [h1]}, asr: {hosts: [h1]}}
"""


class Dummies(Keyring):
    """Has a value for each secret."""

    def resolve(self, secret: Secret) -> str:
        return "dummy"


def understood(catalog: Catalog) -> None:
    """Assert that the host side reads each spec whole: no field too many, none too few."""
    asked = Inspect(playbooks=[], partial=False, deep=False)
    sent = json.loads(request.build(catalog, asked, Dummies()))
    assert Request.parse(sent).plain() == sent
    assert [entry["id"] for entry in sent["resources"]] == [each.id for each in catalog.resources]
    for entry in sent["resources"]:
        assert make(entry["id"], entry["type"], entry["spec"]).spec.plain() == entry["spec"]
    sent = json.loads(request.build(catalog, Status(), Dummies()))
    assert Request.parse(sent).plain() == sent


@pytest.mark.parametrize("text", EXAMPLES)
def test_hosts_understand_what_is_documented(text: str, tmp_path: Path) -> None:
    for catalog in load(example(text, tmp_path)).fleet.catalogs.values():
        understood(catalog)


@pytest.mark.parametrize("playbook", SHIPPED, ids=lambda path: f"{path.parent.parent.name}-{path.stem}")
def test_hosts_understand_what_is_shipped(playbook: Path, tmp_path: Path) -> None:
    inventory = tmp_path / "hosts.yml"
    inventory.write_text(HOSTS, encoding="utf-8")
    found = [ROOT / "inventories"] if playbook.stem in ("asr-container", "quickstart") else [inventory]
    for name in ("hello_world", "nihao_shijie"):
        (tmp_path / f"{name}.wav").write_bytes(b"RIFF")
    extra = {"hub": "http://192.0.2.9:8440", "waves": str(tmp_path)}
    catalogs = load(Selection((playbook,), tuple(found), extra=extra)).fleet.catalogs
    assert catalogs
    for catalog in catalogs.values():
        understood(catalog)


HOST_ONLY = Pooling.NAME
"""The check that no playbook asks for: the host side puts it itself, to find out what a model does."""

EVERYTHING = """
- hosts: [h1, h2]
  models: {r2: {path: /data/r2}}
  environments: {vllm-nodes: {packages: ["vllm==0.33.0"]}}
  services:
    several:
      kind: vllm
      environment: vllm-nodes
      model: r2
      port: 6
      tensor_parallel_size: 2
      nodes: {hosts: 2}
- hosts: h1
  packages: [git, vim=2]
  groups: {staff: {gid: 700}}
  users: {ops: {groups: [staff], shell: /bin/sh}}
  sysctls: {vm.swappiness: 10}
  directories: {/srv/a: {owner: ops, mode: "0750"}}
  files:
    /srv/a/b: {content: "x = {{ x }}", validate: [test, -s, "{path}"]}
    /srv/a/c: {content: {env: KEY}}
    /srv/a/d: {absent: true}
  commands: {first: {run: [touch, made], creates: /srv/a/made, directory: /srv/a, env: {A: {env: KEY}}}}
  environments:
    vllm: {packages: ["vllm>=0.10", modelscope, "demo[more] @ https://x.example/demo-1-py3-none-any.whl"]}
    asr: {packages: [torch, funasr, modelscope, fastapi, uvicorn, python-multipart]}
  models: {r1: {modelscope: a/b, token: {env: KEY}}, sense: {path: /data/sense}}
  services:
    chat: {kind: vllm, environment: vllm, model: r1, port: 1, api_key: [{env: A}, {env: B}]}
    speech: {kind: asr, environment: asr, model: sense, vad_model: sense, port: 2}
    box: {kind: container, image: x, volumes: ["/srv/a:/a"], healthcheck: {test: "true"}}
    alone: {kind: program, command: serve, supervisor: script}
    asked:
      kind: program
      command: serve
      port: 4
      checks:
      - chat: a
      - completion: a
      - embed: a
      - {classify: a, expect: b}
      - {rerank: {query: a, documents: [b]}, expect: b}
      - score: {query: a, documents: [b]}
      - transcribe: {file: a.wav, expect: a}
      - http: /
    open: {kind: program, command: serve, port: 5}
"""


def test_no_type_of_resource_or_check_is_left_out(tmp_path: Path) -> None:
    (tmp_path / "hosts.yml").write_text(f"vars: {{x: 7}}{HOSTS}", encoding="utf-8")
    (tmp_path / "a.wav").write_bytes(b"RIFF")
    playbook = tmp_path / "all.yml"
    playbook.write_text(EVERYTHING, encoding="utf-8")
    catalog, _ = load(Selection((playbook,), (tmp_path / "hosts.yml",))).fleet.catalogs.values()
    understood(catalog)
    assert {each.type for each in catalog.resources} == {
        path.stem for path in (ROOT / "provision/wire/specs").glob("[a-z]*.py")
    }
    proofs = [each.spec for each in catalog.resources if isinstance(each.spec, ProbeSpec)]
    assert {check.NAME for each in proofs for check in each.checks} == set(Check.VARIANTS) - {HOST_ONLY}


def test_a_field_too_many_or_too_few_is_named() -> None:
    with pytest.raises(Mismatch, match=r"^ProbeSpec lacks `health` and .* and has no field `host`$"):
        ProbeSpec.parse({"service": "a", "host": "b"})
