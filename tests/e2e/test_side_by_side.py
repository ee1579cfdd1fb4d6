"""Environments side by side on a real host: whatever becomes of a new one, a server keeps the one it has."""

from __future__ import annotations

import json
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.command import REPOSITORY, Answer, Provision
from tests.e2e.editable import Editable
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
      start_timeout: 15
      checks: [{http: /}]
"""


class Site(Editable):
    """A playbook that may be edited, its host, and an index there."""

    def __init__(self, lab: Lab, host: LabHost, folder: Path) -> None:
        self.host = host
        self.playbook = folder / "site.yml"
        self.playbook.write_text(PLAYBOOK)
        self.provision = Provision(["-i", str(lab.inventory), "--limit", host.name])
        wheels = host.root / "srv/wheels"
        wheels.mkdir(parents=True)
        for version, status in (("1.0", 200), ("2.0", 200), ("3.0", 404), ("4.0", 200)):
            main = {"demo_serve/__main__.py": SERVER.replace("STATUS", str(status))}
            wheel(wheels, "demo-serve", version, modules=main)
        wheel(wheels, "demo-heavy", "1.0", files=3000)

    @property
    def lock(self) -> Path:
        return self.playbook.with_suffix(".lock")

    def apply(self) -> Answer:
        return self.provision.apply(self.playbook)

    def history(self) -> list[dict[str, Any]]:
        return self.provision.history(self.playbook)

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


def test_one_that_cannot_serve_is_left_for_the_one_before(site: Site) -> None:
    before = site.running
    site.edit("demo-serve==2.0", "demo-serve==3.0")
    failed = site.provision.run("apply", site.playbook, "--yes", json=True)
    assert failed.code == 1
    assert [each["ok"] for each in failed.event("restored")] == [True]
    assert site.reply == "2.0"
    assert site.running == before == site.link
    assert len(site.directories) == 3  # the one that failed is there to be looked at


def test_the_history_tells_all_of_it(site: Site) -> None:
    revisions = site.history()
    outcomes = ["proven", "proven", "begun", "proven", "rolled back"]
    assert [each["outcome"] for each in revisions] == outcomes
    assert revisions[0]["changes"] == ["first start"]
    assert "environment app: demo-serve==2.0" in revisions[3]["changes"]
    assert [each["number"] for each in revisions if each["kept"]] == [1, 2, 4]
    assert [each["number"] for each in revisions if each["current"]] == [4]
    assert all("@" in each["who"] for each in revisions)
    text = site.provision.run("history", "web", site.playbook).out
    assert "4 (runs)" in text
    assert "interrupted" in text
    assert "rolled back" in text


def test_back_by_hand_and_forward_again(site: Site) -> None:
    answer = site.provision.run("rollback", "web", site.playbook, "--yes")
    assert answer.code == 0, answer.out + answer.err
    assert "revision 2 runs again" in answer.out
    assert site.reply == "1.0"
    site.edit("demo-serve==3.0", "demo-serve==2.0")
    plan = site.provision.plan(site.playbook, code=2)
    (note,) = plan.event("note", code="rolled-back-by-hand")
    assert "web was rolled back to revision 2 by " in note["text"]
    assert f"file:{SCRIPT}" in plan.changes()
    site.apply()
    assert site.reply == "2.0"
    assert [each["outcome"] for each in site.history()[-2:]] == ["by hand", "proven"]
    assert site.history()[-2]["back_to"] == 2


def test_what_is_not_kept_cannot_be_gone_back_to(site: Site) -> None:
    answer = site.provision.run("rollback", "web", site.playbook, "--yes", "--to", "99")
    assert answer.code == 1
    assert "web has no revision 99 to go back to" in answer.out
    assert site.reply == "2.0"


def test_environments_go_with_the_revisions_that_need_them(site: Site) -> None:
    newest = site.running
    for number in range(2):
        site.edit("8151]", f"8151, {number}]") if number == 0 else site.edit("8151, 0]", "8151, 1]")
        site.apply()
    assert site.directories == [newest]
    kept = [each["number"] for each in site.history() if each["kept"]]
    assert len(kept) == 3
    assert site.sh("stat -c %a /opt/provision/state/revisions/web") == "600"


def test_a_lock_says_exactly_what_is_there(site: Site) -> None:
    wheels = site.host.root / "srv/wheels"
    locked = sha256((wheels / "demo_serve-2.0-py3-none-any.whl").read_bytes()).hexdigest()
    assert site.provision.run("lock", site.playbook, "--check").code == 2
    answer = site.provision.run("lock", site.playbook, json=True)
    assert answer.code == 0, answer.out
    (told,) = answer.event("locked")
    assert told["new"]
    assert told["written"]
    text = site.lock.read_text()
    assert f'demo-serve: {{version: "2.0", sha256: ["{locked}"]}}' in text
    version = site.sh("dpkg-query -W -f '${Version}' python3-venv")
    assert f'python3-venv: "{version}"' in text
    assert site.host.address not in text
    assert site.provision.run("lock", site.playbook, "--check").code == 0
    assert site.provision.plan(site.playbook, code=0).changes() == {}
    bill = json.loads(site.provision.run("sbom", site.playbook).out)
    found = {each["name"]: each for each in bill["components"]}
    assert found["demo-serve"]["purl"] == "pkg:pypi/demo-serve@2.0"
    assert found["demo-serve"]["hashes"] == [{"alg": "SHA-256", "content": locked}]
    assert found["python3-venv"]["version"] == version


def test_a_changed_playbook_needs_another_lock(site: Site) -> None:
    site.edit("demo-serve==2.0", "demo-serve==4.0")
    for verb in ("validate", "plan"):
        answer = site.provision.run(verb, site.playbook)
        assert answer.code == 1
        assert answer.err.count("[outdated-lock]") == 1
        assert "demo-serve==4.0 is asked for, and 2.0 is locked" in answer.err
    assert "environment:app" in site.provision.plan(site.playbook, "--no-lock", code=2).changes()
    site.edit("demo-serve==4.0", "demo-serve==2.0")


def test_a_file_that_was_replaced_changes_nothing(site: Site) -> None:
    """The environment is damaged by hand, and the file to repair it from is not the locked one."""
    place = site.host.root / "srv/wheels/demo_serve-2.0-py3-none-any.whl"
    right = place.read_bytes()
    wheel(place.parent, "demo-serve", "2.0", modules={"demo_serve/__main__.py": "raise SystemExit(9)"})
    pip = f"{ENVIRONMENTS}/app/bin/pip -q install --no-index --find-links /srv/wheels"
    site.sh(f"{pip} --force-reinstall demo-serve==1.0")
    pid = site.pid
    failed = site.provision.run("apply", site.playbook, "--yes", json=True)
    assert failed.code == 1
    (note,) = failed.event("note", code="lock-mismatch")
    assert "demo_serve-2.0-py3-none-any.whl is another file than the one in site.lock" in note["text"]
    assert not failed.event("started")
    assert site.pid == pid
    assert "1.0" in site.sh(f"{ENVIRONMENTS}/app/bin/pip show demo-serve | grep ^Version")

    place.write_bytes(right)
    wheel(place.parent, "demo-serve", "2.1")  # newer, and nobody asks for it
    plan = site.provision.plan(site.playbook, code=2)
    (seen,) = plan.event("inspected", id="environment:app")
    assert seen["changes"]["packages"] == [{"demo-serve": "1.0"}, {"demo-serve": "==2.0"}]
    assert seen["notes"] == ["not as in site.lock: demo-serve"]
    site.apply()
    assert site.reply == "2.0"
    assert site.provision.run("lock", site.playbook, "--check").code == 0


def test_a_version_that_is_gone_changes_nothing(site: Site) -> None:
    text = site.lock.read_text()
    version = site.sh("dpkg-query -W -f '${Version}' python3-venv")
    site.lock.write_text(text.replace(f'python3-venv: "{version}"', 'python3-venv: "0.0.1-gone"'))
    failed = site.provision.run("apply", site.playbook, "--yes", json=True)
    assert failed.code == 1
    (note,) = failed.event("note", code="lock-mismatch")
    assert "Version '0.0.1-gone' for 'python3-venv' was not found" in note["text"]
    assert not failed.event("started")
    site.lock.write_text(text)
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
