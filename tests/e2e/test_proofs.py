"""Servers that speak TLS, embed, or have adapters, as the command line proves them. vLLM is a stand-in."""

from __future__ import annotations

import ssl
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.command import Provision
from tests.host.certificates import certificate
from tests.host.services import SERVER, free_port

API_SERVER = """\
import argparse, sys
parser = argparse.ArgumentParser()
parser.add_argument("--port")
parser.add_argument("--served-model-name")
parser.add_argument("--runner", default="generate")
parser.add_argument("--lora-modules", default="")
options, more = parser.parse_known_args()
more = [word for word in more if word.startswith("--ssl") or word.endswith((".crt", ".key"))]
names = ",".join([options.served_model_name, *filter(None, [options.lora_modules.partition("=")[0]])])
does = "embed" if options.runner == "pooling" else "generate"
sys.argv = ["server", options.port, "--model", names, "--does", does, *more]
from vllm.server import main
main()
"""


class Site:
    """A playbook with one service on this machine, whose environment holds the stand-in."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = free_port()
        self.playbook = folder / "site.yml"
        (folder / "hosts.yml").write_text(
            f"hosts: {{here: {{connection: local, prefix: {folder}/prefix}}}}\n"
        )
        self.provision = Provision(["-i", str(folder / "hosts.yml")])
        subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder / "venv"], check=True)
        (packages,) = (folder / "venv/lib").glob("python*/site-packages")
        for name, text in (("server", SERVER.read_text()), ("entrypoints/openai/api_server", API_SERVER)):
            path = packages / f"vllm/{name}.py"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        info = packages / "vllm-0.11.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text("Metadata-Version: 2.1\nName: vllm\nVersion: 0.11.0\n")
        (info / "RECORD").write_text("vllm-0.11.0.dist-info/METADATA,,\n")
        (folder / "model").mkdir()
        (folder / "model/config.json").write_text("{}")

    def declare(self, *lines: str) -> None:
        """Write the playbook with these further lines of the service."""
        self.playbook.write_text(
            f"""\
- hosts: here
  environments:
    vllm: {{path: {self.folder}/venv, packages: ["vllm==0.11.0"]}}
  models:
    m: {{path: {self.folder}/model}}
    sql: {{path: {self.folder}/sql}}
  services:
    chat:
      kind: vllm
      supervisor: script
      environment: vllm
      model: m
      host: 127.0.0.1
      port: {self.port}
      start_timeout: 60s
"""
            + "".join(f"      {line}\n" for line in lines)
        )


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    (tmp_path / "sql").mkdir()
    (tmp_path / "sql/adapter_config.json").write_text("{}")
    site = Site(tmp_path)
    yield site
    ended = site.provision.run("remove", site.playbook, "--yes")
    assert ended.code == 0, ended.out


def test_a_server_that_begins_to_speak_tls_is_not_taken_back(site: Site, tmp_path: Path) -> None:
    made = certificate(tmp_path)
    site.declare()
    (proof,) = site.provision.apply(site.playbook).event("proof")
    assert proof["check"] == "completion"
    site.declare(f"extra_args: [{made.flags.replace(' ', ', ')}]")
    (proof,) = site.provision.apply(site.playbook).event("proof")
    assert (proof["ok"], proof["check"]) == (True, "completion over https, certificate not verified")
    url = f"https://127.0.0.1:{site.port}/v1/models"
    assert urllib.request.urlopen(url, context=ssl._create_unverified_context()).status == 200
    site.declare(f"tls: {{cert: {made.cert}, key: {made.key}, ca: {made.cert}}}")
    (proof,) = site.provision.run("verify", site.playbook, json=True).event("proof")
    assert (proof["ok"], proof["check"]) == (True, "completion")
    (service,) = site.provision.run("status", site.playbook, json=True).event("service")
    assert service["url"] == f"https://127.0.0.1:{site.port}"


def test_a_model_that_embeds(site: Site) -> None:
    site.declare("extra_args: [--runner, pooling]")
    (proof,) = site.provision.apply(site.playbook).event("proof")
    assert (proof["check"], proof["received"]) == ("embed", "3 numbers: 0.5, -0.25, 4")


def test_an_adapter_that_is_not_there(site: Site, tmp_path: Path) -> None:
    (tmp_path / "sql").rename(tmp_path / "away")
    site.declare("lora: {sql: sql}", "checks: [{completion: hi}, {completion: hi, model: sql}]")
    failed = site.provision.run("apply", site.playbook, "--yes", json=True)
    assert failed.code == 1
    assert failed.event("result", id="process:chat")[0]["status"] == "skipped"
    (tmp_path / "away").rename(tmp_path / "sql")
    proofs = site.provision.apply(site.playbook).event("proof")
    assert [proof["check"] for proof in proofs] == ["completion", "completion of sql"]
