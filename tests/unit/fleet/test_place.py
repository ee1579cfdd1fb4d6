"""Who supervises a service, decided before its host is asked."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from provision.config import hosts, making
from provision.config.inventory import load_inventories
from provision.kinds.common.context import WITHOUT_SYSTEMD
from tests.unit.fleet.conftest import Project

PLAY = """
- hosts: all
  services:
    web: {kind: program, command: [/bin/true]%s}
"""
LOCAL = "{gpu-box: {connection: local%s}}"


@pytest.fixture(autouse=True)
def root(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Root on this machine, with a home of its own."""
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setenv("HOME", str(tmp_path))


def booted(monkeypatch: pytest.MonkeyPatch, by_systemd: bool) -> None:
    monkeypatch.setattr(hosts, "SYSTEMD", "/" if by_systemd else "/nonexistent")


@pytest.mark.parametrize(
    ("by_systemd", "host", "service", "supervisor", "noted"),
    [
        (True, "", "", "systemd", False),
        (False, "", "", "script", True),
        (False, ", become: true", "", "script", True),
        (False, "", ", supervisor: systemd", "systemd", False),
        (False, ", supervisor: systemd", "", "systemd", False),
        (True, ", supervisor: script", "", "script", False),
        (True, ", supervisor: script", ", supervisor: systemd", "systemd", False),
    ],
)
def test_root_on_this_machine(
    project: Project,
    monkeypatch: pytest.MonkeyPatch,
    by_systemd: bool,
    host: str,
    service: str,
    supervisor: str,
    noted: bool,
) -> None:
    booted(monkeypatch, by_systemd)
    catalog = project.compile(PLAY % service, hosts=LOCAL % host)
    assert catalog.services[0].facts.supervisor == supervisor
    assert catalog.host.prefix == "/opt/provision"
    assert (WITHOUT_SYSTEMD in catalog.notes) is noted


@pytest.mark.parametrize("playbook", ["one", "another"])
def test_what_root_has_below_the_home_is_not_left_behind(
    project: Project, tmp_path: Path, playbook: str
) -> None:
    former = tmp_path / ".local/share/provision"
    (former / "state").mkdir(parents=True)
    entry = {"playbooks": [playbook], "type": "file", "spec": {}, "created": True}
    (former / making.LEDGER).write_text(json.dumps({"version": 1, "resources": {"file:/x": entry}}))
    project.write("inventories/hosts.yml", f"hosts: {LOCAL % ''}\n")
    host = load_inventories(None, project.root, {}, ["one"]).host("gpu-box")
    if playbook == "one":
        assert host.prefix == str(former)
        assert host.notes[0].message.startswith(f"{former} stays in use, because it holds what one put there")
    else:
        assert (host.prefix, list(host.notes)) == ("/opt/provision", [])


def test_a_prefix_below_the_home(project: Project, tmp_path: Path) -> None:
    catalog = project.compile(PLAY % ", supervisor: script", hosts=LOCAL % ", prefix: ~/p")
    assert catalog.host.prefix == f"{tmp_path}/p"
    (problem,) = project.problems(PLAY % "", hosts="{gpu-box: {user: root, prefix: ~/p}}")
    assert problem.startswith("inventories/hosts.yml:2:39: `~` is the home of the user who runs provision")


def test_what_the_user_of_a_service_cannot_read(project: Project) -> None:
    (problem,) = project.problems(PLAY % "", hosts="{gpu-box: {user: root, prefix: /root/p}}")
    assert problem.endswith("set prefix: /opt/provision on the host, or supervisor: script on the service")
