"""A change that does not answer is taken back, under systemd on a real host, as the command line tells it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.command import Provision
from tests.e2e.editable import Editable
from tests.host.services import SERVER
from tests.lab import Lab, LabHost

pytestmark = pytest.mark.lab

SECRET = "sk-q7former"
FILES = " ".join(
    [
        "/etc/systemd/system/provision-web.service",
        "/opt/provision/services/web/start.sh",
        "/opt/provision/services/web/env",
    ]
)

PLAYBOOK = f"""\
- hosts: former
  directories: {{/srv/web: null}}
  files: {{/srv/web/server.py: {{source: {SERVER}}}}}
  services:
    web:
      kind: program
      command: [/usr/bin/python3, /srv/web/server.py, 8141, --reply, before]
      port: 8141
      env: {{SITE_KEY: {{env: SITE_KEY}}}}
      stop_timeout: 20
      checks: [{{http: /health}}]
"""


class Site(Editable):
    """A playbook that may be edited, and its host."""

    def __init__(self, lab: Lab, host: LabHost, folder: Path) -> None:
        self.host = host
        self.playbook = folder / "site.yml"
        self.playbook.write_text(PLAYBOOK)
        self.provision = Provision(["-i", str(lab.inventory), "--limit", "former"], {"SITE_KEY": SECRET})

    @property
    def command(self) -> str:
        """What really runs."""
        return self.sh(
            "tr '\\0' ' ' < /proc/$(systemctl show -p MainPID --value provision-web)/cmdline || echo nothing"
        )


@pytest.fixture(scope="module")
def site(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    host = lab.add("former")[0]
    site = Site(lab, host, tmp_path_factory.mktemp("former"))
    site.provision.apply(site.playbook)
    yield site
    lab.remove("former")


def test_script_env_file_and_unit_are_put_back_and_run(site: Site) -> None:
    before = site.sh(f"sha256sum {FILES}; stat -c '%a %U' {FILES}")
    site.edit("--reply, before", "--fail, broken")
    site.edit("stop_timeout: 20", "stop_timeout: 30")
    site.provision.env["SITE_KEY"] = "sk-other"
    answer = site.provision.run("apply", site.playbook, "--yes")
    assert answer.code == 1
    assert "the files that it last worked with are back, and it answers" in answer.out
    assert "answers as before the change" in answer.out
    assert "sk-" not in answer.out
    assert site.sh(f"sha256sum {FILES}; stat -c '%a %U' {FILES}") == before
    assert "--reply before" in site.command
    assert site.sh("systemctl show -p NeedDaemonReload --value provision-web") == "no"
    assert site.sh("stat -c '%a %U' /opt/provision/state/former/web") == "600 root"
    changes = site.provision.plan(site.playbook, code=2).changes()
    assert {f"file:{path}" for path in FILES.split()} < set(changes)


def test_the_broken_one_stays_when_that_is_asked_for(site: Site) -> None:
    answer = site.provision.run("apply", site.playbook, "--yes", "--no-rollback")
    assert answer.code == 1
    assert "last answered" not in answer.out
    assert "--fail broken" in site.sh("cat /opt/provision/services/web/start.sh")


def test_the_mended_one_runs_and_nothing_is_kept(site: Site) -> None:
    site.edit("--fail, broken", "--reply, after")
    site.provision.apply(site.playbook)
    assert "--reply after" in site.command
    assert json.loads(site.sh("cat /opt/provision/state/former/web"))["files"] == {}
    assert site.provision.plan(site.playbook, code=0).changes() == {}
