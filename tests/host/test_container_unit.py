"""A container under systemd, from a playbook, over SSH: on a booted host with podman in it."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.command import REPOSITORY, Provision
from tests.lab import Base, Lab, LabHost, Podman

pytestmark = pytest.mark.lab

SERVE = (
    "import http.server as h; h.ThreadingHTTPServer(('', 8000), h.SimpleHTTPRequestHandler).serve_forever()"
)

PLAYBOOK = f"""\
- hosts: dock
  packages: [podman, crun]
  files: {{/srv/share/note: {{content: "one\\n"}}}}
  directories: {{/srv/share: null}}
  services:
    web:
      kind: container
      image: localhost/lab:1
      archive: /srv/image.tar
      command: [python3, -c, {json.dumps(SERVE)}]
      network: host
      ports: ["8000:8000"]
      volumes: ["/srv/share:/share:ro"]
      env: {{KEY: {{env: SITE_KEY}}}}
      stop_timeout: 1s
      checks: [{{http: /share/note, expect: one}}]
- hosts: bare
  files: {{/etc/site.conf: {{content: "inside\\n"}}}}
"""


class Site:
    def __init__(self, folder: Path, lab: Lab, host: LabHost) -> None:
        self.host = host
        self.playbook = folder / "playbooks/main.yml"
        self.playbook.parent.mkdir()
        self.playbook.write_text(PLAYBOOK)
        more = folder / "more.yml"
        more.write_text(
            json.dumps({"hosts": {"bare": {"connection": "container", "container": "web", "on": "dock"}}})
        )
        options = ["-i", str(lab.inventory), "-i", str(more)]
        self.provision = Provision(options, {"SITE_KEY": "s3cret", "PYTHONPATH": str(REPOSITORY)}, folder)

    def sh(self, script: str) -> str:
        return self.host.exec(["sh", "-c", script]).stdout.strip()

    def edit(self, old: str, new: str) -> None:
        text = self.playbook.read_text()
        assert old in text
        self.playbook.write_text(text.replace(old, new))

    def started(self) -> str:
        return self.sh("podman inspect --format '{{.Id}} {{.State.StartedAt.UnixNano}}' web")

    def state(self) -> str:
        return self.sh(
            "echo $(podman inspect --format '{{.State.Running}}' web; systemctl is-active provision-web)"
        )

    def until_started_again(self, before: str) -> None:
        deadline = time.monotonic() + 180
        while self.started() in (before, "") or self.state() != "true active":
            assert time.monotonic() < deadline, self.sh("journalctl -u provision-web -n 30")
            time.sleep(0.5)


@pytest.fixture(scope="module")
def site(lab: Lab, podman: Podman, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    (host,) = lab.add("dock", base=Base(), nested=True)
    podman.run("save", "--quiet", "--output", str(host.root / "srv/image.tar"), "localhost/lab:1")
    yield Site(tmp_path_factory.mktemp("site"), lab, host)
    lab.remove("dock")


def test_from_a_bare_host_to_a_container_under_systemd(site: Site) -> None:
    plan = site.provision.plan(site.playbook, code=2)
    assert "container:web" in plan.changes("dock")
    assert "does not exist yet" in plan.event("note", host="bare")[0]["text"]
    answer = site.provision.apply(site.playbook)
    assert [proof["check"] for proof in answer.event("proof")] == ["running", "http /share/note"]
    assert all(proof["ok"] for proof in answer.event("proof"))
    assert (
        site.sh("systemctl is-active provision-web; systemctl is-enabled provision-web") == "active\nenabled"
    )
    assert site.sh("podman exec web cat /etc/site.conf") == "inside"
    assert site.sh("podman inspect --format '{{.HostConfig.RestartPolicy.Name}}' web") in ("", "no")
    assert "s3cret" not in answer.out + site.sh("systemctl cat provision-web")
    # What it has answered with is kept for a rollback, for root alone, as the env files of others are.
    kept = [f"/opt/provision/state/{folder}/web" for folder in ("former", "revisions")]
    assert site.sh("grep -rl s3cret /opt/provision | sort").split() == kept
    assert site.sh(f"stat -c %a {' '.join(kept)}").split() == ["600", "600"]


def test_again_nothing_changes(site: Site) -> None:
    before = site.started()
    site.provision.plan(site.playbook, code=0)
    assert {done["counts"]["changed"] for done in site.provision.apply(site.playbook).event("done")} == {0}
    assert site.started() == before


def test_systemd_brings_it_back_and_it_has_to_prove_itself_again(site: Site) -> None:
    before = site.started()
    site.sh("podman kill web")
    site.until_started_again(before)
    assert list(site.provision.plan(site.playbook, code=2).changes("dock")) == ["probe:web"]
    site.provision.apply(site.playbook)
    site.provision.plan(site.playbook, code=0)


def test_its_words_are_in_the_journal(site: Site) -> None:
    answer = site.provision.run("logs", "web")
    assert "GET /share/note" in answer.out
    (status,) = site.provision.run("status", site.playbook, json=True).event("service", service="web")
    assert (status["state"], status["listening"], status["proven"]) == ("running", True, True)


def test_a_mounted_file_that_changes_restarts_it(site: Site) -> None:
    before = site.started().split()
    site.edit("one", "two")
    plan = site.provision.plan(site.playbook, code=2)
    assert plan.event("restart", service="web")[0]["because"] == ["file:/srv/share/note"]
    site.provision.apply(site.playbook)
    after = site.started().split()
    assert after[0] == before[0]
    assert after[1] != before[1]


SLOW = "[Service]\nExecStart=\nExecStart=/bin/sh -c 'sleep 3; exec podman start --attach web'\n"


def test_a_container_that_is_slow_to_start_again_has_not_ended(site: Site) -> None:
    """It was killed by the stop, and that is all that the engine tells until it runs again."""
    folder = "/etc/systemd/system/provision-web.service.d"
    site.sh(f'mkdir {folder}; printf "%s" "{SLOW}" >{folder}/slow.conf; systemctl daemon-reload')
    before = site.started().split()
    site.edit('content: "two', 'content: "two again')
    site.provision.apply(site.playbook)
    after = site.started().split()
    assert after[0] == before[0]
    assert after[1] != before[1]
    site.sh(f"rm -r {folder}; systemctl daemon-reload")


def test_another_option_makes_it_anew_under_the_same_unit(site: Site) -> None:
    before = site.started().split()
    site.edit("stop_timeout: 1s", "stop_timeout: 1s\n      shm_size: 32MiB")
    assert list(site.provision.plan(site.playbook, code=2).changes("dock")["container:web"]) == ["shm_size"]
    site.provision.apply(site.playbook)
    assert site.started().split()[0] != before[0]
    assert site.sh("systemctl is-active provision-web") == "active"
    site.provision.plan(site.playbook, code=0)


def test_a_stop_by_hand_stops_it_and_apply_starts_it(site: Site) -> None:
    site.sh("systemctl stop provision-web")
    assert site.state().startswith("false")
    changes = site.provision.plan(site.playbook, code=2).changes("dock")
    assert set(changes["container:web"]) == {"active", "running"}
    site.provision.apply(site.playbook)
    assert site.state() == "true active"


def test_a_reboot_brings_it_back(site: Site) -> None:
    before = site.started()
    site.host.reboot()
    site.host.wait()
    site.until_started_again(before)
    assert site.sh("podman exec web cat /etc/site.conf") == "inside"
    assert list(site.provision.plan(site.playbook, code=2).changes("dock")) == ["probe:web"]


CDI = {
    "cdiVersion": "0.5.0",
    "kind": "nvidia.com/gpu",
    "devices": [{"name": name, "containerEdits": {"env": [f"GPU_{name}=here"]}} for name in ("0", "1")],
}


def test_gpus_are_given_to_it_by_cdi(site: Site) -> None:
    site.edit("stop_timeout: 1s", "stop_timeout: 1s\n      gpus: [0, 1]")
    answer = site.provision.run("apply", site.playbook, "--yes", json=True)
    (failed,) = answer.event("result", id="container:web")
    assert "NVIDIA Container Toolkit" in failed["hint"], failed
    site.sh(f"mkdir -p /etc/cdi && echo '{json.dumps(CDI)}' >/etc/cdi/nvidia.json")
    site.provision.apply(site.playbook)
    environment = site.sh("podman exec web cat /proc/1/environ").split("\0")
    assert {"GPU_0=here", "GPU_1=here"} <= set(environment)
    site.provision.plan(site.playbook, code=0)


def test_removal_leaves_nothing_but_the_image(site: Site) -> None:
    site.provision.run("remove", site.playbook, "--yes")
    assert site.sh("podman ps --all --quiet; ls /etc/systemd/system | grep provision- || :") == ""
    assert site.sh("systemctl is-active provision-web || :") == "inactive"
    assert "localhost/lab" in site.sh("podman images")
