"""The generated unit on a real systemd: hardened, with what a model server needs left open."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from provision.catalog.render import render_tree
from tests.lab import LabHost
from tests.unit.fleet.conftest import Project, spec

pytestmark = pytest.mark.lab

PLAYBOOK = """
- hosts: all
  environments: {vllm: {packages: ["vllm==0.33.0"]}}
  models: {r1: {path: /srv/model}}
  services:
    r1: {kind: vllm, environment: vllm, model: r1, port: 80, env: {A: 'x "$y" 100%', HF_HUB_OFFLINE: "0"}}
"""

PREFIX = "/opt/pro vision '$x\" 50%"

SERVER = r"""#!/usr/bin/python3
import json, os, signal, socket, subprocess, sys, time

def works(action):
    try:
        action()
        return True
    except OSError:
        return False

def write(path):
    with open(path, "w") as file:
        file.write("x")

socket.create_server(("", 80))
child = subprocess.Popen(["sleep", "1000"])
signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
facts = {
    "argv": sys.argv[1:],
    "environ": dict(os.environ),
    "uid": os.getuid(),
    "child": child.pid,
    "home": works(lambda: write(os.path.expanduser("~/x"))),
    "cache": works(lambda: write(os.environ["XDG_CACHE_HOME"] + "/x")),
    "tmp": works(lambda: write("/tmp/x")),
    "shm": works(lambda: write("/dev/shm/x")),
    "usr": works(lambda: write("/usr/x")),
    "prefix": works(lambda: write(os.path.dirname(sys.argv[0]) + "/x")),
    "env file": works(lambda: open(ENV_FILE)),
    "homes": works(lambda: os.listdir("/home")),
    "devices": os.path.exists("/dev/marker"),
}
with open(os.path.expanduser("~/facts.part"), "w") as file:
    json.dump(facts, file)
os.rename(os.path.expanduser("~/facts.part"), os.path.expanduser("~/facts"))
while True:
    time.sleep(1)
"""


@pytest.fixture
def service(lab_host: LabHost, tmp_path: Path) -> LabHost:
    """A host with the generated files, and a stand-in for Python that tells what it may do."""
    prefix = json.dumps(PREFIX)
    hosts = f"{{gpu-box: {{connection: ssh, address: 10.0.0.1, become: true, prefix: {prefix}}}}}"
    catalog = Project(tmp_path).compile(PLAYBOOK, hosts=hosts)
    tree = render_tree(catalog)
    lab_host.exec(["useradd", "--system", "--home-dir", "/var/lib/provision", "provision"])
    lab_host.exec(["touch", "/dev/marker"])
    server = SERVER.replace("ENV_FILE", repr(f"{PREFIX}/services/r1/env"))
    files = {**tree, f"{spec(catalog, 'environment:vllm').path}/bin/python": (server, "0755")}
    for path, (text, mode) in files.items():
        lab_host.exec(
            ["sh", "-c", 'mkdir -p "${1%/*}"; cat > "$1"; chmod "$2" "$1"', "-", path, mode], input=text
        )
    lab_host.exec(["systemctl", "daemon-reload"])
    return lab_host


def test_what_the_service_may_and_may_not(service: LabHost) -> None:
    service.exec(["systemctl", "start", "provision-r1"])
    facts = json.loads(_wait(service, "/var/lib/provision/r1/facts"))
    assert facts["argv"][:2] == ["-m", "vllm.entrypoints.openai.api_server"]
    assert facts["environ"]["A"] == 'x "$y" 100%'
    assert facts["environ"]["HF_HUB_OFFLINE"] == "0"
    assert facts["environ"]["DO_NOT_TRACK"] == "1"
    assert str(facts["uid"]) == service.exec(["id", "-u", "provision"]).stdout.strip()
    able = ("home", "cache", "tmp", "shm", "devices", "usr", "prefix", "env file", "homes")
    assert [name for name in able if facts[name]] == ["home", "cache", "tmp", "shm", "devices"]


def test_a_stop_takes_the_whole_group_and_a_death_is_no_end(service: LabHost) -> None:
    service.exec(["systemctl", "start", "provision-r1"])
    _wait(service, "/var/lib/provision/r1/facts")
    service.exec(["systemctl", "kill", "--kill-who=main", "--signal=KILL", "provision-r1"])
    while _show(service, "SubState") != "auto-restart" and _show(service, "NRestarts") == "0":
        time.sleep(0.1)
    service.exec(["systemctl", "stop", "provision-r1"])
    assert _show(service, "ActiveState") == "inactive"
    assert service.exec(["pgrep", "-u", "provision"], check=False).stdout == ""


def _show(host: LabHost, name: str) -> str:
    return host.exec(["systemctl", "show", "--value", "--property", name, "provision-r1"]).stdout.strip()


def _wait(host: LabHost, path: str) -> str:
    deadline = time.monotonic() + 180
    while time.monotonic() < deadline:
        done = host.exec(["cat", path], check=False)
        if done.returncode == 0:
            return done.stdout
        time.sleep(0.2)
    status = host.exec(["systemctl", "status", "--no-pager", "provision-r1"], check=False).stdout
    pytest.fail(f"the service wrote no {path}:\n{status}")
