"""A service in a container that the same run makes: from nothing to an answer through the published port."""

from __future__ import annotations

import json
import os
import shutil
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.command import REPOSITORY, Provision
from tests.host.services import SERVER, free_port
from tests.host.wheels import wheel
from tests.lab import Base, Podman

pytestmark = pytest.mark.lab

KEY = 'sk "one" $HOME'

PLAYBOOK = """\
- name: outside
  hosts: localhost
  directories: {SHARE: null}
  files: {SHARE/note: {content: "seen inside\\n"}}
  services:
    box:
      kind: container
      supervisor: script
      engine: ENGINE
      name: NAME
      image: localhost/lab:1
      init: true
      network: host
      ports: ["PORT:PORT"]
      volumes: ["SHARE:/share:ro"]
      env: {SITE_KEY: {env: SITE_KEY}}
      stop_timeout: 2s
      checks: [{http: /v1/models, status: 200}]
- name: inside
  hosts: inside
  packages: [python3-venv]
  files: {/etc/site.conf: {content: "colour = blue\\n"}}
  environments:
    vllm: {packages: ["vllm==0.33.0"], index_url: "file:///share/index"}
  models: {m: {path: /share/model}}
  services:
    tiny:
      kind: vllm
      environment: vllm
      model: m
      port: PORT
      checks: [{chat: hello, expect: hello}]
"""

API_SERVER = """\
import sys
port = sys.argv[sys.argv.index("--port") + 1]
sys.argv = ["server", port, "--model", "tiny", "--reply", "You said {user}"]
from vllm.server import main
main()
"""


class Site:
    """A project on this machine with a container as its second host."""

    def __init__(self, folder: Path, podman: Podman, engine: str) -> None:
        self.folder = folder
        self.podman = podman
        self.name = f"e2e-{engine}"
        self.port = free_port()
        self.share = folder / "share"
        package = self.share / "index/vllm"
        package.mkdir(parents=True)
        made = wheel(
            package,
            "vllm",
            "0.33.0",
            modules={
                "vllm/server.py": SERVER.read_text(),
                "vllm/entrypoints/__init__.py": "",
                "vllm/entrypoints/openai/__init__.py": "",
                "vllm/entrypoints/openai/api_server.py": API_SERVER,
            },
        )
        (package / "index.html").write_text(f'<a href="{made.name}">{made.name}</a>')
        (self.share / "model").mkdir()
        (self.share / "model/config.json").write_text("{}")
        (folder / "playbooks").mkdir()
        (folder / "inventories").mkdir()
        self.playbook = folder / "playbooks/main.yml"
        values = {"SHARE": str(self.share), "ENGINE": engine, "NAME": self.name, "PORT": str(self.port)}
        text = PLAYBOOK
        for word, value in values.items():
            text = (
                text.replace(word, value) if word != "NAME" else text.replace("name: NAME", f"name: {value}")
            )
        self.playbook.write_text(text)
        hosts = {
            "localhost": {"connection": "local", "prefix": str(folder / "prefix")},
            "inside": {"connection": "container", "container": self.name},
        }
        (folder / "inventories/all.yml").write_text(json.dumps({"hosts": hosts}))
        self.env = {
            "PATH": f"{podman.bin}:{os.environ['PATH']}",
            "DOCKER_HOST": podman.docker_host,
            "SITE_KEY": KEY,
            "PYTHONPATH": str(REPOSITORY),
        }
        self.provision = Provision([], self.env, folder)

    def edit(self, old: str, new: str) -> None:
        text = self.playbook.read_text()
        assert old in text
        self.playbook.write_text(text.replace(old, new))

    def inside(self, script: str) -> str:
        return self.podman.run("exec", self.name, "sh", "-c", script)

    @property
    def id(self) -> str:
        return self.podman.run("inspect", "--format", "{{.Id}}", self.name).strip()

    def models(self) -> str:
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/v1/models", timeout=60) as reply:
            return str(json.load(reply)["data"][0]["id"])


@pytest.fixture(
    scope="module",
    params=[
        "podman",
        pytest.param("docker", marks=pytest.mark.skipif(not shutil.which("docker"), reason="no docker")),
    ],
)
def site(
    request: pytest.FixtureRequest, podman: Podman, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Site]:
    site = Site(tmp_path_factory.mktemp("site"), podman, request.param)
    yield site
    podman.run("rm", "--force", "--ignore", "--time", "0", site.name)


def test_the_plan_of_what_is_not_there_yet(site: Site) -> None:
    answer = site.provision.plan(site.playbook, code=2)
    text = f"container {site.name} does not exist yet; everything in it is created once it runs"
    assert [note["text"] for note in answer.event("note", host="inside")] == [text]
    assert "process:tiny" in answer.changes("inside")
    assert all(event["pending"] for event in answer.event("inspected", host="inside"))


def test_it_cannot_be_saved(site: Site, tmp_path: Path) -> None:
    answer = site.provision.run("plan", site.playbook, "--out", tmp_path / "plan")
    assert (answer.code, (tmp_path / "plan").exists()) == (1, False)
    assert "the plan of inside cannot be saved: apply first creates" in answer.err


def test_from_nothing_to_an_answer_through_the_port(site: Site) -> None:
    answer = site.provision.apply(site.playbook)
    assert answer.event("proof", host="inside", service="tiny")[0]["ok"]
    (mapped,) = [proof for proof in answer.event("proof", service="box") if proof["check"] != "running"]
    assert (mapped["check"], mapped["ok"]) == ("http /v1/models", True)
    assert site.models() == "tiny"
    assert site.inside("cat /share/note /etc/site.conf") == "seen inside\ncolour = blue\n"
    assert KEY not in answer.out


def test_again_nothing_changes(site: Site) -> None:
    before = site.id
    site.provision.plan(site.playbook, code=0)
    answer = site.provision.apply(site.playbook)
    assert {done["counts"]["changed"] for done in answer.event("done")} == {0}
    assert answer.event("proof") == []
    assert site.id == before


def test_the_service_outlives_the_call_and_its_end_is_seen(site: Site) -> None:
    pid = site.inside("cat /opt/provision/run/tiny.pid").split()[0]
    (before,) = site.provision.run("status", site.playbook, json=True).event("service", service="tiny")
    assert (before["state"], before["listening"], str(before["pid"])) == ("running", True, pid)
    site.inside(f"kill -KILL {pid}")
    deadline = time.monotonic() + 120
    while site.provision.plan(site.playbook).changes("inside").keys() != {"process:tiny", "probe:tiny"}:
        assert time.monotonic() < deadline
    assert site.provision.apply(site.playbook).event("proof", host="inside", service="tiny")[0]["ok"]
    assert "Z" not in [
        state[0] for state in site.inside("cat /proc/[0-9]*/stat | sed 's/.*) //'").splitlines()
    ]
    assert site.models() == "tiny"


def test_what_the_container_is_made_with_makes_it_and_what_is_in_it_anew(site: Site) -> None:
    before = site.id
    site.edit("init: true", "init: true\n      shm_size: 128MiB")
    answer = site.provision.plan(site.playbook, code=2)
    assert list(answer.changes("localhost")["container:box"]) == ["shm_size"]
    assert "recreated" in answer.event("note", host="inside")[0]["text"]
    site.provision.apply(site.playbook)
    assert site.id != before
    assert site.models() == "tiny"


def test_a_stopped_container_is_a_line_in_the_plan_and_not_an_error(site: Site) -> None:
    site.podman.run("stop", "--time", "0", site.name)
    answer = site.provision.plan(site.playbook, code=2)
    assert "does not run yet" in answer.event("note", host="inside")[0]["text"]
    alone = site.provision.run("plan", site.playbook, "--limit", "inside", json=True)
    assert alone.code == 1
    (lost,) = alone.event("unreachable")
    assert lost["cause"] == f"the container {site.name} is not running"
    site.provision.apply(site.playbook)
    assert site.models() == "tiny"


def test_what_does_not_answer_through_the_port_fails_the_apply(site: Site) -> None:
    site.edit("status: 200", "status: 204")
    site.edit("colour = blue", "colour = red")
    answer = site.provision.run("apply", site.playbook, "--yes", json=True)
    assert answer.code == 1
    assert "through its ports" in answer.event("error", host="localhost")[0]["message"]
    site.edit("status: 204", "status: 200")


def test_logs_of_the_container(site: Site) -> None:
    answer = site.provision.run("logs", "tiny")
    assert answer.code == 0
    assert answer.out


def test_removal_takes_both_and_then_there_is_nothing_to_do(site: Site) -> None:
    for expected in (True, False):
        answer = site.provision.run("remove", site.playbook, "--yes", json=True)
        assert answer.code == 0, answer.out
        assert any(event["id"] == "container:box" for event in answer.event("removed")) is expected
    assert site.podman.run("ps", "--all", "--quiet", "--filter", f"name={site.name}") == ""
    assert not (site.folder / "prefix").exists()


def test_python_is_installed_in_a_container_without(podman: Podman, tmp_path: Path) -> None:
    image = podman.image(Base(python=False), "localhost/bare:1")
    podman.run("run", "--detach", "--name", "e2e-bare", "--network", "host", image)
    try:
        (tmp_path / "hosts.yml").write_text(
            "hosts: {bare: {connection: container, container: e2e-bare, engine: podman}}"
        )
        playbook = tmp_path / "main.yml"
        playbook.write_text("- hosts: bare\n  files: {/etc/site.conf: {content: here}}\n")
        env = {"PATH": f"{podman.bin}:{os.environ['PATH']}", "PYTHONPATH": str(REPOSITORY)}
        provision = Provision(["-i", str(tmp_path / "hosts.yml")], env, tmp_path)
        answer = provision.plan(playbook, code=1)
        assert answer.event("error", host="bare")[0]["message"] == "there is no python3 on the host"
        assert provision.apply(playbook).event("bootstrapped", host="bare")
        assert podman.run("exec", "e2e-bare", "cat", "/etc/site.conf") == "here"
        provision.plan(playbook, code=0)
    finally:
        podman.run("rm", "--force", "--time", "0", "e2e-bare")
        podman.run("rmi", "--force", image)
