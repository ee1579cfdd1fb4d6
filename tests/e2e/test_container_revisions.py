"""A service run by an image: what fails is put back, its history, and back by hand; on a real podman."""

from __future__ import annotations

import json
import os
import re
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.command import REPOSITORY, Answer, Provision
from tests.host.services import free_port
from tests.lab import Podman

pytestmark = pytest.mark.lab

SERVER = """\
import os
from http.server import BaseHTTPRequestHandler, HTTPServer

class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(int(os.environ["STATUS"]))
        self.end_headers()
        self.wfile.write(os.environ["VERSION"].encode())

HTTPServer(("", 8000), Handler).serve_forever()
"""


class Site:
    """A playbook on this machine, and images that answer with their version."""

    def __init__(self, folder: Path, podman: Podman) -> None:
        self.podman = podman
        self.port = free_port()
        self.playbook = folder / "main.yml"
        self.state = folder / "prefix/state"
        (folder / "serve.py").write_text(SERVER)
        self.declare("localhost/answers:1")
        inventory = {"hosts": {"localhost": {"connection": "local", "prefix": str(folder / "prefix")}}}
        (folder / "hosts.yml").write_text(json.dumps(inventory))
        env = {
            "PATH": f"{podman.bin}:{os.environ['PATH']}",
            "DOCKER_HOST": podman.docker_host,
            "PYTHONPATH": str(REPOSITORY),
        }
        self.provision = Provision(["-i", str(folder / "hosts.yml")], env, folder)

    def declare(self, image: str) -> None:
        service = {
            "kind": "container",
            "supervisor": "script",
            "engine": "podman",
            "name": "answers",
            "image": image,
            "command": ["python3", "/srv/serve.py"],
            "ports": [f"127.0.0.1:{self.port}:8000"],
            "volumes": [f"{self.playbook.parent}/serve.py:/srv/serve.py:ro"],
            "stop_timeout": "1s",
            "start_timeout": "15s",
            "checks": [{"http": "/", "status": 200}],
        }
        self.playbook.write_text(json.dumps([{"hosts": "localhost", "services": {"answers": service}}]))

    def publish(self, image: str, version: str, status: int = 200) -> None:
        """Make an image; of the same name it takes the place of another one."""
        changes = [f"--change=ENV VERSION={version}", f"--change=ENV STATUS={status}"]
        made = self.podman.run("create", "localhost/lab:1", "true").strip()
        self.podman.run("commit", "--quiet", *changes, made, image)
        self.podman.run("rm", made)

    def apply(self) -> Answer:
        return self.provision.apply(self.playbook)

    def history(self) -> list[dict[str, Any]]:
        return self.provision.history(self.playbook)

    @property
    def reply(self) -> str:
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/", timeout=10) as answer:
            return str(answer.read().decode())

    @property
    def id(self) -> str:
        return self.podman.run("inspect", "--format", "{{.Id}}", "answers").strip()


@pytest.fixture(scope="module")
def site(podman: Podman, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    site = Site(tmp_path_factory.mktemp("revisions"), podman)
    for number, status in (("1", 200), ("2", 200), ("3", 500)):
        site.publish(f"localhost/answers:{number}", number, status)
    site.apply()
    yield site
    podman.run("rm", "--force", "--ignore", "--time", "0", "answers", "answers.provision-new")
    for number in "123":
        podman.run("rmi", "--force", f"localhost/answers:{number}", check=False)


def test_another_image_is_a_revision(site: Site) -> None:
    assert site.reply == "1"
    site.declare("localhost/answers:2")
    site.apply()
    assert site.reply == "2"
    first, second = site.history()
    assert first["changes"] == ["first start"]
    assert second["changes"][0].startswith("container answers: localhost/answers:1 (")
    assert "→ localhost/answers:2 (" in second["changes"][0]
    assert [each["outcome"] for each in (first, second)] == ["proven", "proven"]
    assert (site.state / "revisions/answers").stat().st_mode & 0o777 == 0o600


def test_one_that_answers_wrongly_gives_way_to_the_one_before(site: Site) -> None:
    site.declare("localhost/answers:3")
    failed = site.provision.run("apply", site.playbook, "--yes", json=True)
    assert failed.code == 1
    assert [each["ok"] for each in failed.event("restored")] == [True], failed.out
    assert site.reply == "2"
    assert site.history()[-1]["outcome"] == "rolled back"
    site.declare("localhost/answers:2")
    before = site.id
    assert site.apply().done("localhost")["counts"]["changed"] == 0
    assert site.id == before


def test_one_that_cannot_be_had_leaves_the_one_that_runs(site: Site) -> None:
    before = site.id
    site.declare("localhost/gone:1")
    failed = site.provision.run("apply", site.playbook, "--yes", "--ignore", "image-missing", json=True)
    assert failed.code == 1
    assert (site.id, site.reply) == (before, "2")
    site.declare("localhost/answers:2")
    assert site.apply().done("localhost")["counts"]["changed"] == 0


def test_back_by_hand_and_forward_again(site: Site) -> None:
    answer = site.provision.run("rollback", "answers", site.playbook, "--yes")
    assert answer.code == 0, answer.out + answer.err
    assert site.reply == "1"
    site.apply()
    assert site.reply == "2"
    assert [each["outcome"] for each in site.history()[-2:]] == ["by hand", "proven"]


def test_the_image_itself_comes_back_when_its_name_means_another_one(site: Site) -> None:
    site.publish("localhost/answers:2", "moved", 500)
    failed = site.provision.run("apply", site.playbook, "--yes", json=True)
    assert [each["ok"] for each in failed.event("restored")] == [True], failed.out
    assert site.reply == "2"


def test_a_locked_image_stays_when_its_name_means_another_one(site: Site) -> None:
    site.publish("localhost/answers:2", "2")
    site.apply()
    before = site.id
    site.podman.run("tag", "localhost/answers:2", "localhost/kept:1")
    assert site.provision.run("lock", site.playbook).code == 0
    lock = site.playbook.with_suffix(".lock")
    id = site.podman.run("image", "inspect", "--format", "{{.Id}}", "localhost/answers:2").strip()
    assert f'id: "sha256:{id}"' in lock.read_text()
    site.publish("localhost/answers:2", "moved")
    assert site.provision.plan(site.playbook, code=0).changes() == {}
    (bill,) = json.loads(site.provision.run("sbom", site.playbook).out)["components"]
    assert bill["purl"].startswith("pkg:oci/answers@sha256:")

    # Made again, it is from the locked image, and the name means that again.
    site.podman.run("rm", "--force", "--time", "0", "answers")
    site.apply()
    assert site.reply == "2"
    assert site.id != before
    named = site.podman.run("image", "inspect", "--format", "{{.Id}}", "localhost/answers:2").strip()
    assert named == id

    # Where it is gone, nothing is changed.
    site.publish("localhost/answers:2", "moved")
    site.podman.run("rm", "--force", "--time", "0", "answers")
    site.podman.run("rmi", "--force", "localhost/kept:1", id, check=False)
    text = lock.read_text()
    lock.write_text(re.sub(r"digests:(\n *- .*)*", "digests: []", text))
    failed = site.provision.run("apply", site.playbook, "--yes", json=True)
    assert failed.code == 1
    assert failed.event("note", code="lock-mismatch")
    assert not failed.event("started")
    lock.unlink()
    site.publish("localhost/answers:2", "2")
    site.apply()


def test_an_image_that_is_gone_cannot_be_gone_back_to(site: Site) -> None:
    site.publish("localhost/answers:2", "2")
    site.apply()
    before = site.id
    site.podman.run("rmi", "--force", "localhost/answers:1")
    to = next(each["number"] for each in site.history() if each["kept"])
    answer = site.provision.run("rollback", "answers", site.playbook, "--yes", "--to", str(to))
    assert answer.code == 1, answer.out
    assert (site.id, site.reply) == (before, "2")
