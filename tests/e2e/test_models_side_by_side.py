"""Models side by side on a real host: whatever becomes of a download, a server keeps the files it has."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

import pytest

from tests.e2e.command import REPOSITORY, Answer, Provision
from tests.e2e.editable import Editable
from tests.lab import Lab, LabHost
from tests.lab.hub import Fault, Hub

pytestmark = pytest.mark.lab

OWNER = "/opt/provision/models/tiny"
SCRIPT = "/opt/provision/services/chat/start.sh"
WEIGHTS = "model.safetensors"
SIZE = 5_000_000

SERVER = """\
import hashlib, json, mmap, sys
from http.server import BaseHTTPRequestHandler, HTTPServer

config = json.load(open(f"{sys.argv[1]}/config.json"))
file = open(f"{sys.argv[1]}/model.safetensors", "rb")
weights = mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ)

class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(config["status"])
        self.end_headers()
        self.wfile.write((config["version"] + " " + hashlib.sha256(weights).hexdigest()).encode())

HTTPServer(("0.0.0.0", int(sys.argv[2])), Handler).serve_forever()
"""

PLAYBOOK = """\
- hosts: modelside
  packages: [python3-venv]
  environments:
    hub: {packages: [huggingface-hub]}
  models:
    m: {huggingface: tiny/chat, revision: v1.0, endpoint: "HUB"}
  services:
    chat:
      kind: program
      command: [/usr/bin/python3, /srv/serve.py, {model: m}, 8152]
      port: 8152
      start_timeout: 15
      checks: [{http: /}]
"""


class Site(Editable):
    """A playbook that may be edited, its host, and the hub with the model."""

    def __init__(self, lab: Lab, host: LabHost, folder: Path, hub: Hub) -> None:
        self.host, self.hub = host, hub
        self.playbook = folder / "site.yml"
        self.playbook.write_text(PLAYBOOK.replace("HUB", hub.url))
        self.provision = Provision(["-i", str(lab.inventory), "--limit", host.name])
        (host.root / "srv/serve.py").write_text(SERVER)
        self.weights = os.urandom(SIZE)
        self.publish("1.0")
        (hub.root / "tiny/chat" / WEIGHTS).write_bytes(self.weights)

    def publish(self, version: str, status: int = 200) -> None:
        """Let the hub have a configuration that is of the same length for each version."""
        place = self.hub.root / "tiny/chat"
        place.mkdir(parents=True, exist_ok=True)
        (place / "config.json").write_text(json.dumps({"version": version, "status": status}))

    def apply(self) -> Answer:
        return self.provision.apply(self.playbook)

    @property
    def pid(self) -> str:
        return self.sh("systemctl show -p MainPID --value provision-chat")

    @property
    def reply(self) -> str:
        with urllib.request.urlopen(f"http://{self.host.address}:8152/", timeout=10) as answer:
            return str(answer.read().decode().split()[0])

    @property
    def running(self) -> str:
        """The directory that the script names."""
        return self.sh(f"grep -o '{OWNER}/[^ ]*' {SCRIPT}")

    @property
    def directories(self) -> set[str]:
        return set(self.sh(f"ls -d {OWNER}/*/ {OWNER}/.[!.]*/*/ 2>/dev/null; true").split())

    def directory(self, path: str) -> Path:
        return self.host.root / path[1:]

    def downloads(self) -> int:
        return sum(request.sent for request in self.hub.downloads())


@pytest.fixture(scope="module")
def site(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    host = lab.add("modelside")[0]
    root = tmp_path_factory.mktemp("hub")
    with Hub(root, address=lab.network.gateway) as hub:
        site = Site(lab, host, tmp_path_factory.mktemp("modelside"), hub)
        site.apply()
        yield site
    lab.remove("modelside")


def test_the_name_leads_to_the_directory_of_what_is_declared(site: Site) -> None:
    assert site.reply == "1.0"
    assert site.running.startswith(f"{OWNER}/.")
    assert site.running.endswith("/chat")
    assert site.sh(f"readlink -f {OWNER}/chat") == site.running
    assert (site.directory(site.running) / WEIGHTS).read_bytes() == site.weights
    assert site.provision.plan(site.playbook, code=0).changes() == {}


def test_a_killed_download_leaves_the_server_alone(site: Site) -> None:
    pid, before, script = site.pid, site.running, site.sh(f"cat {SCRIPT}")
    site.publish("2.0")
    site.edit("revision: v1.0,", "revision: v2.0,")
    site.hub.break_(Fault("config.json", hold=3))
    argv = [sys.executable, "-m", "provision", "apply", str(site.playbook), "--yes", *site.provision.options]
    with subprocess.Popen(argv, stdout=subprocess.DEVNULL, cwd=REPOSITORY) as run:
        asked = len(site.hub.downloads())
        deadline = time.monotonic() + 120
        while len(site.hub.downloads()) == asked:
            assert time.monotonic() < deadline, "the download has not begun"
            time.sleep(0.02)
        run.send_signal(signal.SIGKILL)
    site.hub.mend()
    # It would read its files again if it was started again now.
    site.sh("systemctl restart provision-chat; sleep 2")
    assert site.reply == "1.0"
    assert site.running == before
    assert site.sh(f"cat {SCRIPT}") == script
    assert site.pid != pid

    # Back to what was declared: nothing to change but the proof of the restarted one.
    site.edit("revision: v2.0,", "revision: v1.0,")
    pid = site.pid
    assert set(site.provision.plan(site.playbook).changes()) <= {"probe:chat"}
    site.apply()
    assert site.pid == pid
    assert site.directories == {f"{OWNER}/chat/", f"{before}/"}  # what had arrived is tidied away


def test_what_both_have_is_neither_fetched_nor_stored_twice(site: Site) -> None:
    before = site.running
    site.edit("revision: v1.0,", "revision: v2.0,")
    plan = site.provision.plan(site.playbook, code=2)
    (work,) = [each["work"] for each in plan.event("inspected", id="model:m")]
    assert work["bytes"] < 1000
    assert work["linked"] == SIZE
    assert work["beside"] == before
    text = site.provision.run("plan", site.playbook).out
    assert "5.0 MB are here already; in a new directory beside chat, which stays as it is" in text
    fetched = site.downloads()
    site.apply()
    assert site.reply == "2.0"
    assert site.downloads() - fetched < 1000
    assert site.running != before
    assert (
        os.stat(site.directory(before) / WEIGHTS).st_ino
        == os.stat(site.directory(site.running) / WEIGHTS).st_ino
    )
    assert json.loads((site.directory(before) / "config.json").read_text())["version"] == "1.0"
    assert site.sh(f"readlink -f {OWNER}/chat") == site.running
    assert site.provision.plan(site.playbook, code=0).changes() == {}


def test_one_that_cannot_serve_is_left_for_the_one_before(site: Site) -> None:
    before = site.running
    site.publish("3.0", status=500)
    site.edit("revision: v2.0,", "revision: v3.0,")
    failed = site.provision.run("apply", site.playbook, "--yes", json=True)
    assert failed.code == 1
    assert [each["ok"] for each in failed.event("restored")] == [True], failed.out
    assert site.reply == "2.0"
    assert site.running == before == site.sh(f"readlink -f {OWNER}/chat")


def test_back_by_hand_and_forward_again(site: Site) -> None:
    site.edit("revision: v3.0,", "revision: v2.0,")
    fetched = site.downloads()
    answer = site.provision.run("rollback", "chat", site.playbook, "--yes")
    assert answer.code == 0, answer.out + answer.err
    assert site.reply == "1.0"
    site.apply()
    assert site.reply == "2.0"
    assert site.downloads() == fetched


def test_a_locked_model_is_downloaded_as_locked_or_not_at_all(site: Site) -> None:
    """A file changes on the hub under the same revision, and the one on the host is damaged."""
    site.publish(site.reply)
    assert site.provision.run("lock", site.playbook).code == 0
    weights = f"{site.running}/{WEIGHTS}"
    assert sha256(site.weights).hexdigest() in site.playbook.with_suffix(".lock").read_text()
    assert site.host.address not in site.playbook.with_suffix(".lock").read_text()
    (site.hub.root / "tiny/chat" / WEIGHTS).write_bytes(os.urandom(SIZE))
    assert site.provision.plan(site.playbook, code=0).changes() == {}
    site.sh(f"rm {weights}; for each in {OWNER}/.*/chat; do rm -f $each/{WEIGHTS}; done")
    failed = site.provision.run("apply", site.playbook, "--yes", json=True)
    assert failed.code == 1
    (note,) = failed.event("note", code="lock-mismatch")
    assert f"{WEIGHTS} of tiny/chat is not what site.lock has" in note["text"]
    assert not failed.event("started")
    (site.hub.root / "tiny/chat" / WEIGHTS).write_bytes(site.weights)
    site.apply()
    assert site.directory(weights).read_bytes() == site.weights
    site.playbook.with_suffix(".lock").unlink()


def test_a_model_of_another_name_is_gone_back_to_as_well(site: Site) -> None:
    """And of all of them only those stay that a kept revision needs."""
    before = site.running
    (site.hub.root / "tiny/other").mkdir()
    for name in ("config.json", WEIGHTS):
        (site.hub.root / "tiny/other" / name).write_bytes((site.hub.root / "tiny/chat" / name).read_bytes())
    site.publish("4.0")
    (site.hub.root / "tiny/other/config.json").write_text(json.dumps({"version": "5.0", "status": 404}))
    site.edit("tiny/chat, revision: v2.0,", "tiny/other, revision: v1.0,")
    failed = site.provision.run("apply", site.playbook, "--yes", json=True)
    assert [each["ok"] for each in failed.event("restored")] == [True], failed.out
    assert site.reply == "2.0"
    (site.hub.root / "tiny/other/config.json").write_text(json.dumps({"version": "6.0", "status": 200}))
    site.edit("tiny/other, revision: v1.0,", "tiny/other, revision: v2.0,")
    site.apply()
    assert site.reply == "6.0"
    for number in range(3):
        old = "8152]" if number == 0 else f"8152, {number - 1}]"
        site.edit(old, f"8152, {number}]")
        site.apply()
    assert not site.directory(before).exists()
    assert not (site.host.root / OWNER[1:] / "chat").is_symlink()
    assert site.directories == {f"{OWNER}/other/", f"{site.running}/"}
    assert site.provision.plan(site.playbook, code=0).changes() == {}


def test_removed_without_a_trace(site: Site) -> None:
    site.provision.run("remove", site.playbook, "--yes")
    assert site.sh("find /opt/provision -path '*models*' | wc -l") == "0"
