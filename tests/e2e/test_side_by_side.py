"""Environments side by side on a real host: whatever becomes of a new one, a server keeps the one it has."""

from __future__ import annotations

import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.command import REPOSITORY, Answer, Provision
from tests.host.wheels import wheel
from tests.lab import Lab, LabHost

pytestmark = pytest.mark.lab

ENVIRONMENTS = "/opt/provision/environments"
SCRIPT = "/opt/provision/services/web/start.sh"

SERVER = """\
import sys
from http.server import BaseHTTPRequestHandler, HTTPServer
from demo_serve import version

class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(STATUS)
        self.end_headers()
        self.wfile.write(version.encode())

HTTPServer(("0.0.0.0", int(sys.argv[1])), Handler).serve_forever()
"""

PLAYBOOK = """\
- hosts: beside
  packages: [python3-venv]
  environments:
    app:
      packages: ["demo-serve==1.0"]
      find_links: [/srv/wheels]
      index_url: "file:///nowhere"
      installer: pip
  services:
    web:
      kind: program
      environment: app
      command: [python, -m, demo_serve, 8151]
      port: 8151
      checks: [{http: /}]
"""


class Site:
    """A playbook that may be edited, its host, and an index there."""

    def __init__(self, lab: Lab, host: LabHost, folder: Path) -> None:
        self.host = host
        self.playbook = folder / "site.yml"
        self.playbook.write_text(PLAYBOOK)
        self.provision = Provision(["-i", str(lab.inventory), "--limit", host.name])
        wheels = host.root / "srv/wheels"
        wheels.mkdir(parents=True)
        for version, status in (("1.0", 200), ("2.0", 200), ("3.0", 500), ("4.0", 200)):
            main = {"demo_serve/__main__.py": SERVER.replace("STATUS", str(status))}
            wheel(wheels, "demo-serve", version, modules=main)
        wheel(wheels, "demo-heavy", "1.0", files=3000)

    def edit(self, old: str, new: str) -> None:
        text = self.playbook.read_text()
        assert old in text
        self.playbook.write_text(text.replace(old, new))

    def sh(self, script: str) -> str:
        return self.host.exec(["sh", "-c", script]).stdout.strip()

    def apply(self) -> Answer:
        return self.provision.apply(self.playbook)

    @property
    def pid(self) -> str:
        return self.sh("systemctl show -p MainPID --value provision-web")

    @property
    def reply(self) -> str:
        with urllib.request.urlopen(f"http://{self.host.address}:8151/", timeout=10) as answer:
            return str(answer.read().decode())

    @property
    def running(self) -> str:
        """The environment that the script names."""
        return self.sh(f"grep -o '{ENVIRONMENTS}/app[^/]*' {SCRIPT} | head -n 1").rpartition("/")[2]

    @property
    def directories(self) -> list[str]:
        return self.sh(
            f"cd {ENVIRONMENTS} && find . -maxdepth 1 -type d -name 'app*' -printf '%f\\n'"
        ).split()

    @property
    def link(self) -> str:
        return self.sh(f"readlink {ENVIRONMENTS}/app")


@pytest.fixture(scope="module")
def site(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    host = lab.add("beside")[0]
    site = Site(lab, host, tmp_path_factory.mktemp("beside"))
    site.apply()
    yield site
    lab.remove("beside")


def test_the_directory_is_named_after_what_is_declared(site: Site) -> None:
    assert site.reply == "1.0"
    assert site.directories == [site.running]
    assert site.running.startswith("app-")
    assert site.link == site.running
    assert site.provision.plan(site.playbook, code=0).changes() == {}


def test_what_is_installed_by_hand_is_put_right_where_it_is(site: Site) -> None:
    before = site.directories
    pip = f"{ENVIRONMENTS}/app/bin/pip -q install --no-index --find-links /srv/wheels"
    site.sh(f"{pip} --force-reinstall demo-serve==2.0")
    assert list(site.provision.plan(site.playbook, code=2).changes()) == [
        "environment:app",
        "unit:web",
        "probe:web",
    ]
    site.apply()
    assert site.reply == "1.0"
    assert site.directories == before


def test_a_killed_installation_leaves_the_server_alone(site: Site) -> None:
    pid, before, script = site.pid, site.running, site.sh(f"cat {SCRIPT}")
    site.edit('"demo-serve==1.0"', '"demo-serve==2.0", demo-heavy')
    argv = [sys.executable, "-m", "provision", "apply", str(site.playbook), "--yes", *site.provision.options]
    with subprocess.Popen(argv, stdout=subprocess.DEVNULL, cwd=REPOSITORY) as run:
        new = _wait_for(site.host.root / ENVIRONMENTS[1:], "app-*/lib/*/site-packages/demo_heavy/part100.py")
        # At once all that works for the run on the host, and nothing of the server.
        site.sh(
            "for p in /proc/[0-9]*; do "
            "  read -r name 2>/dev/null <$p/comm; grep -q provision-web $p/cgroup 2>/dev/null && continue; "
            "  case $name in python*|pip*) kill -9 ${p#/proc/};; esac; "
            "done"
        )
        assert run.wait() == 1
    assert new != before
    assert site.pid == pid
    assert site.reply == "1.0"
    assert site.sh(f"cat {SCRIPT}") == script
    assert (site.host.root / ENVIRONMENTS[1:] / new / ".provision-installing").exists()

    # Back to what was declared: nothing to change, and what is half made goes.
    site.edit('"demo-serve==2.0", demo-heavy', '"demo-serve==1.0"')
    done = site.apply()
    assert done.done("beside")["counts"]["changed"] == 0
    assert site.pid == pid
    assert site.directories == [before]


def test_the_former_one_stays_beside_the_new_one(site: Site) -> None:
    before = site.running
    site.edit("demo-serve==1.0", "demo-serve==2.0")
    plan = site.provision.plan(site.playbook, code=2)
    (work,) = [each["work"] for each in plan.event("inspected", id="environment:app")]
    assert work["install"] == ["demo-serve==2.0"]
    assert work["beside"] == f"{ENVIRONMENTS}/{before}"
    assert work["disk"] > 1_000_000
    text = site.provision.run("plan", site.playbook).out
    assert f"in a new directory beside {before}, which stays as it is" in text
    site.apply()
    assert site.reply == "2.0"
    assert set(site.directories) == {before, site.running}
    assert site.link == site.running != before
    assert site.provision.plan(site.playbook, code=0).changes() == {}


def _wait_for(root: Path, pattern: str) -> str:
    """Return the first part of the path that appears."""
    deadline = time.monotonic() + 120
    while True:
        found = next(iter(root.glob(pattern)), None)
        if found:
            return found.relative_to(root).parts[0]
        assert time.monotonic() < deadline, "the installation has not come so far"
        time.sleep(0.01)
