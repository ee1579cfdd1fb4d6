"""Services that share a GPU start one after another: in an apply, by systemd, after a reboot, by a script."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.command import REPOSITORY, Answer, Provision
from tests.lab import Lab, LabHost

pytestmark = pytest.mark.lab

SERVER = Path(__file__).parents[1] / "host/gpu_server.py"

SHARING = ["a", "b", "c"]

PLAYBOOK = f"""\
- hosts: box
  files: {{/srv/gpu/server.py: {{source: {SERVER}}}}}
  directories: {{/srv/gpu: null, /srv/log: {{mode: "0777"}}}}
  services:
"""

SERVICE = """\
    {name}:
      kind: program
      supervisor: {supervisor}
      command: [/usr/bin/python3, /srv/gpu/server.py, /srv/log/{supervisor}, {name}, "{port}"]
      working_directory: /srv/log
      port: {port}
      gpus: [{card}]
      checks: [{{http: /}}]
      start_timeout: 60s
"""


class Site:
    """A host with three services on one GPU and one on another, under each supervisor."""

    def __init__(self, folder: Path, lab: Lab, host: LabHost) -> None:
        self.host = host
        env = {"PYTHONPATH": str(REPOSITORY)}
        self.provision = Provision(["-i", str(lab.inventory), "--limit", host.name], env, folder)
        self.folder = folder
        self.playbook("systemd", 8200)
        self.playbook("script", 8300)

    def playbook(self, supervisor: str, port: int) -> None:
        text = PLAYBOOK.replace("hosts: box", f"hosts: {self.host.name}")
        for index, name in enumerate([*SHARING, "other"]):
            at = {"name": f"{name}-{supervisor}", "port": port + index, "supervisor": supervisor}
            text += SERVICE.format(**at, card=1 if name == "other" else 0)
        (self.folder / f"{supervisor}.yml").write_text(text)

    def sh(self, script: str) -> str:
        return self.host.exec(["sh", "-c", script]).stdout.strip()

    def apply(self, supervisor: str, *more: str) -> Answer:
        return self.provision.apply(self.folder / f"{supervisor}.yml", *more)

    def applying(self, supervisor: str) -> subprocess.Popen[str]:
        """Begin an apply; its events are on the standard output."""
        argv = ["apply", f"{supervisor}.yml", "--yes", "--output", "json", *self.provision.options]
        return subprocess.Popen(
            [sys.executable, "-m", "provision", *argv],
            cwd=self.folder,
            env={**os.environ, **self.provision.env},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            text=True,
        )

    def notes(self, supervisor: str, count: int, but: str = "") -> list[str]:
        """Return what the servers, all but one, have written, once there are so many lines."""
        deadline = time.monotonic() + 120
        while True:
            lines = self.sh(f"cat /srv/log/{supervisor} 2>/dev/null || true").splitlines()
            if len([line for line in lines if not but or not line.startswith(but)]) >= count:
                return lines
            assert time.monotonic() < deadline, (lines, self.sh("ps -ef"))
            time.sleep(0.2)

    def clear(self, supervisor: str) -> None:
        self.sh(f"rm -f /srv/log/{supervisor}*")


@pytest.fixture(scope="module")
def site(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    host = lab.add("gpubox")[0]
    yield Site(tmp_path_factory.mktemp("gpus"), lab, host)
    lab.remove("gpubox")


def one_after_another(lines: list[str]) -> None:
    """Require that of those who share a GPU, each is ready before the next begins to load."""
    shared = [line.split() for line in lines if not line.startswith("other")]
    assert [what for _, what in shared] == ["loads", "ready"] * len(SHARING), lines
    assert [name for name, _ in shared[::2]] == [name for name, _ in shared[1::2]], lines


@pytest.mark.parametrize("supervisor", ["systemd", "script"])
def test_an_apply_starts_them_in_turn_and_says_what_it_waits_for(site: Site, supervisor: str) -> None:
    site.sh(f"mkdir -p /srv/log && chmod 0777 /srv/log && touch /srv/log/{supervisor}.slow")
    with site.applying(supervisor) as run:
        assert run.stdout
        # Nobody is ready before it is said that somebody waits.
        said = next(line for line in run.stdout if '"waiting"' in line and "probe:" in line)
        site.sh(f"rm /srv/log/{supervisor}.slow")
        rest = run.stdout.read()
    assert run.returncode == 0, rest
    assert any(f"GPU 0, on which {name}-{supervisor} is starting" in said for name in SHARING), said
    one_after_another(site.notes(supervisor, 8))


def test_systemd_starts_them_in_turn_by_itself(site: Site) -> None:
    units = " ".join(f"provision-{name}-systemd" for name in [*SHARING, "other"])
    site.sh(f"systemctl stop {units}")
    site.clear("systemd")
    site.sh(f"touch /srv/log/systemd.slow && systemctl start {units}")
    # The first of the three loads as long as we like, and the one on the other GPU is not held up.
    site.sh("touch /srv/log/systemd.other-systemd")
    lines = site.notes("systemd", 3)
    assert "other-systemd ready" in lines
    first = next(line.split()[0] for line in lines if not line.startswith("other"))
    site.sh(f"echo 3 > /srv/log/systemd.{first}")  # it fails, which lets the next go
    second = site.notes("systemd", 3, but=first)[-1].split()[0]
    assert second in [f"{name}-systemd" for name in SHARING]
    site.sh("rm /srv/log/systemd.slow")
    lines = site.notes("systemd", 6, but=first)
    assert lines.index(f"{first} fails") < lines.index(f"{second} loads")
    assert lines.index(f"{second} ready") < len(lines) - 2


def test_after_a_reboot_they_start_in_turn(site: Site) -> None:
    site.clear("systemd")
    site.host.reboot()
    one_after_another(site.notes("systemd", 8))


def test_start_scripts_run_by_hand_start_in_turn(site: Site) -> None:
    site.clear("script")
    scripts = " ".join(f"/opt/provision/services/{name}-script/start.sh" for name in SHARING)
    site.sh(f"for s in {scripts}; do setsid sh $s >/dev/null 2>&1 </dev/null & done")
    one_after_another(site.notes("script", 6))


def test_a_host_of_the_version_before_gets_the_turn_without_a_restart(site: Site) -> None:
    pids = "systemctl show -p MainPID --value provision-a-systemd"
    script = "/opt/provision/services/a-systemd/start.sh"
    before = site.sh(pids)
    declared = site.sh(f"cat {script}")
    site.sh(f"sed -i '/gpu_turn/d;/one after another/d' {script}; rm /opt/provision/gpu_turn.py")
    answer = site.apply("systemd")
    assert answer.code == 0, answer.out
    assert not answer.event("restart")
    assert site.sh(f"cat {script}") == declared
    assert site.sh(pids) == before
