"""Root on the box itself, and boxes on which systemd does not run: decided before anything changes."""

from __future__ import annotations

import shlex
import site
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.command import REPOSITORY, Provision
from tests.lab import Lab, LabHost

pytestmark = pytest.mark.lab

PLAYBOOK = """\
- hosts: box
  services:
    tail: {kind: program, command: [/usr/bin/tail, -f, /dev/null]}
"""
HIDDEN = "mount -t tmpfs none /run/systemd"
"""What looks to others as if systemd did not run; it goes on, and the host can be ended by it."""

LEFT = "ls -d /opt/provision /etc/systemd/system/provision-* 2>/dev/null || :"


@pytest.fixture(scope="module")
def box(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LabHost]:
    """A host that sees this repository, and the packages of the Python that runs the tests."""
    packages = site.getsitepackages()[0]
    yield lab.add("box", binds=(f"{REPOSITORY}:/repository", f"{packages}:/packages"))[0]
    lab.remove("box")


def here(box: LabHost, words: str) -> str:
    """Run provision on the box, as root, and return all that it prints."""
    if "3.11" not in sys.version:
        pytest.skip("the box has Python 3.11, and the packages of another cannot be used there")
    script = f"cd /root/project && PYTHONPATH=/repository:/packages python3 -m provision {words} 2>&1 || :"
    return box.exec(["sh", "-c", script]).stdout


def sh(box: LabHost, script: str) -> str:
    return box.exec(["sh", "-c", script]).stdout.strip()


@pytest.fixture
def project(box: LabHost) -> None:
    sh(
        box,
        "rm -rf /root/project; mkdir -p /root/project/playbooks /root/project/inventories; cd /root/project; "
        f"printf %s {shlex.quote(PLAYBOOK)} >playbooks/main.yml; "
        "echo 'hosts: {box: {connection: local}}' >inventories/hosts.yml",
    )


@pytest.mark.usefixtures("project")
def test_root_needs_no_become(box: LabHost) -> None:
    assert "+ /etc/systemd/system/provision-tail.service" in here(box, "plan")
    assert "tail  answers  stop: systemctl stop provision-tail.service" in here(box, "apply --yes")
    assert sh(box, "systemctl show -p User --value provision-tail") == "provision"
    assert " 0 changed" in here(box, "apply --yes")
    here(box, "remove --yes")
    assert sh(box, LEFT) == ""


@pytest.mark.usefixtures("project")
def test_without_systemd_root_gets_a_script_and_a_note(box: LabHost) -> None:
    sh(box, HIDDEN)
    try:
        planned = here(box, "plan")
        assert "  i systemd does not run here, so each service is supervised by a script" in planned
        assert "systemd/system" not in planned
        here(box, "apply --yes")
        assert sh(box, "ps -o user= -p $(head -n 1 /opt/provision/run/tail.pid | cut -d' ' -f1)") == "root"
        # What is asked for is not replaced by something else, and not begun.
        sh(
            box,
            "sed -i 's/kind: program/kind: program, supervisor: systemd/' /root/project/playbooks/main.yml",
        )
        assert "! service tail: systemd does not run here" in here(box, "plan")
        assert "systemd does not run here" in here(box, "apply --yes")
        assert sh(box, "ls /etc/systemd/system | grep provision- || :") == ""
        here(box, "remove --yes")
    finally:
        sh(box, "umount /run/systemd")


def test_a_host_over_ssh_without_systemd_is_left_alone(box: LabHost, lab: Lab, tmp_path: Path) -> None:
    (tmp_path / "main.yml").write_text(PLAYBOOK)
    more = tmp_path / "more.yml"
    more.write_text("groups: {rented: {hosts: [box], supervisor: script}}\n")
    provision = Provision(
        ["-i", str(lab.inventory), "--limit", "box"], {"PYTHONPATH": str(REPOSITORY)}, tmp_path
    )
    sh(box, HIDDEN)
    try:
        planned = provision.run("plan", "main.yml")
        assert "! service tail: systemd does not run here" in planned.out
        hint = "set `supervisor: script` on the service, or on the host for all its services"
        assert hint in planned.out
        refused = provision.run("apply", "main.yml", "--yes")
        assert refused.code == 1
        assert hint in refused.out
        assert sh(box, LEFT) == ""
        assert provision.run("apply", "main.yml", "--yes", "-i", more).code == 0
        assert provision.run("remove", "main.yml", "--yes", "-i", more).code == 0
    finally:
        sh(box, "umount /run/systemd")
