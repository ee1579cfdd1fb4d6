"""What stops an apply before it begins on a real host, and that it goes through once it is mended."""

from __future__ import annotations

import re
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e import standin
from tests.e2e.command import REPOSITORY, Answer, Provision
from tests.lab import Lab, LabHost
from tests.lab.base import Base

pytestmark = pytest.mark.lab

HOLE = "import socket, time; held = socket.create_server(('127.0.0.1', {port})); time.sleep(900)"
"""Accepts TCP, and never answers."""


class Site:
    """A host, and playbooks for it one after another."""

    def __init__(self, folder: Path, lab: Lab, host: LabHost) -> None:
        self.folder = folder
        self.host = host
        self._runtimes: list[str] = []
        self.provision = Provision(["-i", str(lab.inventory), "--limit", host.name], cwd=folder)
        self.shifted = Provision(self.provision.options, {"PYTHONPATH": f"{folder}:{REPOSITORY}"}, folder)

    def playbook(self, name: str, text: str) -> Path:
        """Write a playbook that would also make a directory, by which a change can be told."""
        path = self.folder / f"{name}.yml"
        path.write_text(f"- hosts: all\n  directories: {{/srv/{name}: null}}\n{text}")
        return path

    def sh(self, script: str, check: bool = True) -> str:
        return self.host.exec(["sh", "-c", script], check=check).stdout

    def hold(self, port: int) -> None:
        self.sh(f'systemd-run --quiet --unit=hole python3 -c "{HOLE.format(port=port)}"')
        self.sh(f"until ss -Hltn sport = :{port} | grep -q .; do sleep 0.1; done")

    def release(self) -> None:
        self.sh("systemctl stop hole")

    def reconnect(self) -> None:
        """Use no connection from before any more: what a login gets may have changed."""
        # In a directory with a long path a socket has no room, and another one is taken.
        runtime = tempfile.mkdtemp()
        self._runtimes.append(runtime)
        self.provision.env.update(XDG_RUNTIME_DIR=runtime)

    def close(self) -> None:
        for runtime in self._runtimes:
            shutil.rmtree(runtime)

    def driver(self, version: str) -> None:
        """Have the host say that this driver is loaded.

        The kernel's own file cannot be made without the driver, so something is mounted there.
        """
        told = f"NVRM version: NVIDIA UNIX x86_64 Kernel Module  {version}  Fri Sep  1 07:44:50 UTC 2023"
        (self.host.root / "srv/version").write_text(told + "\n")
        self.sh("mountpoint -q /proc/driver || mount -t tmpfs tmpfs /proc/driver")
        self.sh("mkdir -p /proc/driver/nvidia; cp /srv/version /proc/driver/nvidia/version")

    def changed(self, name: str) -> bool:
        return self.sh(f"ls -d /srv/{name} 2>/dev/null || true") != ""

    def stops(self, playbook: Path, code: str, *more: str) -> dict[str, Any]:
        """Check that plan and apply stop, with nothing changed and one error; return that."""
        for verb in (["plan"], ["apply", "--yes"]):
            answer = self.provision.run(*verb, playbook, *more, json=True)
            assert answer.code == 1, answer.out
            (error,) = noted(answer, severity="error")
            assert error["code"] == code, error
            assert not self.changed(playbook.stem)
        assert answer.event("error")[0]["code"] == "foreseen-failure"
        return error

    def passes(self, playbook: Path, *more: str) -> Answer:
        """Check that an apply goes through."""
        answer = self.provision.apply(playbook, *more)
        assert self.changed(playbook.stem)
        return answer


def noted(answer: Answer, **like: str) -> list[dict[str, Any]]:
    """Return the findings of notes with these values."""
    found = [event["finding"] for event in answer.event("note")]
    return [each for each in found if all(each[key] == value for key, value in like.items())]


@pytest.fixture(scope="module")
def site(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    host = lab.add("strict")[0]
    standin.install(host.root)
    made = Site(tmp_path_factory.mktemp("site"), lab, host)
    yield made
    lab.remove("strict")
    made.close()


SERVICE = """\
  services:
    web:
      kind: program
      command: [/usr/bin/python3, -m, http.server, "8123"]
      port: 8123
"""


def test_a_port_that_somebody_holds(site: Site) -> None:
    playbook = site.playbook("ports", SERVICE)
    site.hold(8123)
    error = site.stops(playbook, "port-taken")
    pid = site.sh("systemctl show -P MainPID hole").strip()
    assert error["message"] == f"service web needs port 8123, which is held by python3 (pid {pid}, root)"
    assert error["where"] == f"{playbook}:7:13"
    shown = site.provision.run("apply", "--yes", playbook)
    assert f"strict  ✗ {playbook}:7:13: service web needs port 8123" in shown.out
    # For the brave: the service is started, and says itself what is wrong.
    assert site.provision.run("apply", "--yes", playbook, "--ignore", "port-taken").code == 1
    assert site.changed("ports")
    assert "port-taken" in site.sh("cat /opt/provision/state/overrides.jsonl")
    site.release()
    site.passes(playbook)
    # Its own process does not hold up its restart.
    playbook.write_text(playbook.read_text().replace('"8123"]', '"8123", --bind, 0.0.0.0]'))
    assert noted(site.passes(playbook)) == []


ENVIRONMENT = """\
  packages: [python3-venv]
  environments:
    {name}: {{packages: ["vllm==0.33.0"], installer: pip, index_url: "{index}"{more}}}
"""
LOCAL = f"file://{standin.INDEX}"


def environment(name: str, index: str = LOCAL, more: str = "") -> str:
    return ENVIRONMENT.format(name=name, index=index, more=more)


def test_an_index_that_is_a_black_hole(site: Site) -> None:
    playbook = site.playbook("indexes", environment("indexes", "http://127.0.0.1:8124/simple"))
    site.hold(8124)
    error = site.stops(playbook, "index-unreachable")
    assert error["message"] == (
        "the package index http://127.0.0.1:8124/simple cannot be reached: no answer in time"
    )
    site.release()
    error = site.stops(playbook, "index-unreachable")
    assert error["message"].endswith("cannot be reached: Connection refused")
    site.sh("systemd-run --quiet --unit=hole python3 -m http.server 8124 --directory /srv")
    site.sh("until ss -Hltn sport = :8124 | grep -q .; do sleep 0.1; done")
    playbook.write_text(playbook.read_text().replace("8124/simple", "8124/index"))
    site.passes(playbook)
    site.release()


def test_a_disk_that_is_too_small(site: Site) -> None:
    playbook = site.playbook("disks", environment("disks", more=", path: /small/e"))
    site.sh("mkdir -p /small; mount -t tmpfs -o size=2500m tmpfs /small")
    error = site.stops(playbook, "disk-full")
    assert "will be needed on /small, where 2.6 GB are free: environment disks 6.0 GB" in error["message"]
    site.passes(playbook, "--ignore", "disk-full")
    site.sh("umount /small; mount -t tmpfs -o size=9g tmpfs /small; rmdir /srv/disks")
    site.passes(playbook)
    site.sh("umount /small")


def test_a_driver_that_is_too_old(site: Site) -> None:
    playbook = site.playbook("drivers", environment("drivers"))
    site.driver("535.161.08")
    error = site.stops(playbook, "driver-too-old")
    assert error["message"] == (
        "environment drivers: vllm 0.33.0 is built for CUDA 13.0, which needs driver 580.65.06 or newer; "
        "this host has 535.161.08"
    )
    assert error["hint"] == (
        "install a newer driver, or pin vllm==0.19.1, the newest release for a CUDA that it runs (12.8)"
    )
    site.passes(playbook, "--ignore", "driver-too-old")
    site.sh("rm -r /opt/provision/environments/drivers; rmdir /srv/drivers")
    site.driver("580.95.05")
    site.passes(playbook)
    site.sh("umount /proc/driver")


def test_what_the_wheels_of_the_index_need(site: Site) -> None:
    """By the real index, which has newer releases than any table: nothing is installed."""
    configuration = site.host.root / "etc/pip.conf"
    former = configuration.read_text()
    # Without the files of this machine, which may be builds without CUDA.
    real = [line for line in former.splitlines() if not line.startswith(("find-links", "constraint"))]
    configuration.write_text("\n".join(real) + "\n")
    site.driver("535.161.08")
    playbook = site.playbook(
        "real",
        ENVIRONMENT.replace('"vllm==0.33.0"', "{packages}")
        .replace(', installer: pip, index_url: "{index}"', "")
        .format(name="real", packages="transformers, accelerate", more=""),
    )
    error = site.stops(playbook, "driver-too-old")
    assert re.match(
        r"environment real: torch 2\.\d+\.\d is built for CUDA 1[3-9]\.\d, "
        r"which needs driver 580\.65\.06 or newer; this host has 535\.161\.08$",
        error["message"],
    )
    assert error["hint"].endswith("pin torch==2.10.0, the newest release for a CUDA that it runs (12.8)")
    assert error["where"] == f"{playbook}:5:22"
    (site.folder / "asked").write_text(
        playbook.read_text().replace("transformers, accelerate", "vllm==0.33.0, torch==2.10.0")
    )
    playbook.write_text((site.folder / "asked").read_text())
    error = site.stops(playbook, "unresolvable-packages")
    assert "vllm>=0.33.0 depends on torch==2.14.0 and you require vllm==0.33.0" in error["message"]
    assert error["where"] == f"{playbook}:5:37"
    assert site.sh("ls -d /opt/provision/environments/real* 2>/dev/null || true") == ""
    assert site.sh("ls /tmp | grep provision-resolve || true") == ""
    configuration.write_text(former)
    site.sh("umount /proc/driver")


def test_a_hub_that_does_not_answer(site: Site) -> None:
    hub = "{modelscope: tiny/chat, endpoint: 'http://127.0.0.1:8125'}"
    with_library = environment("hubs").replace("]", ", modelscope]", 2).replace(", modelscope]", "]", 1)
    playbook = site.playbook("hubs", f"{with_library}  models: {{m: {hub}}}\n")
    error = site.stops(playbook, "hub-unreachable")
    assert "ModelScope at http://127.0.0.1:8125 cannot be reached: Connection refused" in error["message"]
    assert error["where"] == f"{playbook}:6:49"
    site.hold(8125)
    error = site.stops(playbook, "hub-unreachable")
    assert "ModelScope at http://127.0.0.1:8125 cannot be reached: no answer in time" in error["message"]
    site.release()


TWO_GPUS = """\
  models: {m: {path: /srv/model}}
  services:
    two: {kind: vllm, environment: shared, model: m, tensor_parallel_size: 2, port: 8126}
"""


def test_shared_memory_that_is_too_small(site: Site) -> None:
    playbook = site.playbook("shared", environment("shared") + TWO_GPUS)

    def told(*more: str) -> tuple[int, list[dict[str, Any]]]:
        answer = site.provision.run("plan", playbook, *more, json=True)
        return answer.code, noted(answer, code="low-memory")

    site.sh("mount -o remount,size=64m /dev/shm")
    code, (error,) = told()
    assert (code, error["severity"]) == (1, "error")
    assert error["message"] == (
        "service two runs on 2 GPUs, and its processes share memory in /dev/shm, "
        "which has 67 MB free of the 168 MB that it wants"
    )
    _, (warning,) = told("--ignore", "low-memory")
    assert warning["severity"] == "warning"
    site.sh("mount -o remount,size=2g /dev/shm")
    assert told()[1] == []


def test_memory_that_the_host_does_not_have(site: Site) -> None:
    offload = TWO_GPUS.replace("port: 8126", "port: 8126, extra_args: [--cpu-offload-gb, '99000']")
    playbook = site.playbook("memory", environment("shared") + offload)
    site.sh("mount -o remount,size=2g /dev/shm")
    error = site.stops(playbook, "low-memory")
    assert error["message"].startswith(
        "service two keeps 212600.9 GB in the memory of the host (--cpu-offload-gb), which has "
    )
    (line,) = [line for line in playbook.read_text().splitlines() if "two:" in line]
    assert error["where"] == f"{playbook}:8:{line.index('[--cpu') + 1}"


def test_limits_of_a_login_that_are_too_low(site: Site) -> None:
    """What a script supervises inherits them; sshd sets them by PAM. Of the adapter there is only a name."""
    script = TWO_GPUS.replace("port: 8126", "port: 8126, supervisor: script")
    playbook = site.playbook("limits", environment("shared") + script)
    low = "root hard nofile 1024\nroot hard memlock 64\nroot soft memlock 64\n"
    limits = site.host.root / "etc/security/limits.d/lab.conf"
    limits.write_text(low)
    site.sh("mount -t tmpfs tmpfs /sys/class; mkdir -p /sys/class/infiniband/mlx5_0")
    site.reconnect()
    answer = site.provision.run("plan", playbook, json=True)
    site.sh("umount /sys/class; rm /etc/security/limits.d/lab.conf; sync")
    site.reconnect()
    files, locked = noted(answer, code="low-limit")
    assert files["message"] == "service two could open only 1024 files, and a server needs more"
    assert locked["message"] == "service two could lock only 64 kB of memory, and InfiniBand needs more"
    (line,) = [line for line in playbook.read_text().splitlines() if "two:" in line]
    assert {each["where"] for each in (files, locked)} == {f"{playbook}:8:{line.index('script') + 1}"}
    assert {each["severity"] for each in (files, locked)} == {"warning"}
    assert not noted(site.provision.run("plan", playbook, json=True), code="low-limit")


def test_a_distribution_and_a_machine_without_wheels(lab: Lab, tmp_path: Path) -> None:
    """Debian 11 has Python 3.9 and glibc 2.31."""
    (host,) = lab.add("oldest", base=Base("bullseye"))
    site = Site(tmp_path, lab, host)
    try:
        standin.install(host.root)
        playbook = site.playbook("wheels", environment("wheels"))
        error = site.stops(playbook, "no-wheel")
        assert error["message"] == (
            "environment wheels: vllm 0.33.0 needs Python >=3.11,<3.15, and this environment has 3.9.2"
        )
        assert error["where"] == f"{playbook}:5:25"
        playbook.write_text(playbook.read_text().replace("0.33.0", "0.20.2"))
        error = site.stops(playbook, "no-wheel")
        assert error["message"] == (
            "environment wheels: the wheels of vllm 0.20.2 need glibc 2.35 or newer, "
            "and this host has glibc 2.31"
        )
        site.sh("mkdir -p /etc/systemd/system/ssh.service.d")
        (host.root / "etc/systemd/system/ssh.service.d/32.conf").write_text("[Service]\nPersonality=x86\n")
        site.sh("systemctl daemon-reload; systemctl restart ssh")
        site.reconnect()
        error = site.stops(playbook, "no-wheel")
        assert error["message"] == (
            "environment wheels: vllm 0.20.2 has wheels for aarch64 and x86_64, and this host is i686"
        )
    finally:
        lab.remove("oldest")
        site.close()


def test_a_clock_that_is_off(site: Site) -> None:
    """Host and controller have one clock here, so the controller's is shifted."""
    (site.folder / "sitecustomize.py").write_text(
        "import time\nreal = time.time\ntime.time = lambda: real() - 7384\n"
    )
    playbook = site.playbook("clocks", "")
    answer = site.shifted.run("apply", "--yes", playbook, json=True)
    assert answer.code == 0
    (finding,) = noted(answer)
    assert (finding["code"], finding["severity"]) == ("clock-skew", "warning")
    assert finding["message"] == "the clock of this host is 2 h 3 min ahead of the controller's"
    assert noted(site.provision.run("plan", playbook, json=True)) == []
