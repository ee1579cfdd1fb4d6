"""What stops an apply before it begins on a real host, and that it goes through once it is mended."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e import standin
from tests.e2e.command import REPOSITORY, Answer, Provision
from tests.lab import Lab, LabHost

pytestmark = pytest.mark.lab

HOLE = "import socket, time; held = socket.create_server(('127.0.0.1', {port})); time.sleep(900)"
"""Accepts TCP, and never answers."""


class Site:
    """A host, and playbooks for it one after another."""

    def __init__(self, folder: Path, lab: Lab, host: LabHost) -> None:
        self.folder = folder
        self.host = host
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
    yield Site(tmp_path_factory.mktemp("site"), lab, host)
    lab.remove("strict")


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
    """The kernel's own file cannot be made without the driver, so something is mounted there."""
    playbook = site.playbook("drivers", environment("drivers"))
    told = "NVRM version: NVIDIA UNIX x86_64 Kernel Module  {}  Fri Sep  1 07:44:50 UTC 2023"
    site.sh("mount -t tmpfs tmpfs /proc/driver; mkdir /proc/driver/nvidia")

    def driver(version: str) -> None:
        (site.host.root / "srv/version").write_text(told.format(version) + "\n")
        site.sh("cp /srv/version /proc/driver/nvidia/version")

    driver("535.161.08")
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
    driver("580.95.05")
    site.passes(playbook)
    site.sh("umount /proc/driver")


def test_a_hub_that_does_not_answer(site: Site) -> None:
    hub = "{modelscope: tiny/chat, endpoint: 'http://127.0.0.1:8125'}"
    with_library = environment("hubs").replace("]", ", modelscope]", 2).replace(", modelscope]", "]", 1)
    playbook = site.playbook("hubs", f"{with_library}  models: {{m: {hub}}}\n")
    error = site.stops(playbook, "hub-unreachable")
    assert "ModelScope at http://127.0.0.1:8125 cannot be reached: Connection refused" in error["message"]
    assert error["where"].startswith(f"{playbook}:")


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
