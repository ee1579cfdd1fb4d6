"""Mirrors of apt and pip that are out of order, and disks that are full while packages are installed."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.bad_server import BadServer
from tests.faults.trouble import Trouble
from tests.host.apt_source import Source
from tests.host.package_index import simple
from tests.host.wheels import wheel

pytestmark = pytest.mark.lab

PATIENCE = 'Acquire::http::Timeout "2";\nAcquire::Retries "1";\n'


@pytest.fixture(scope="module")
def mirror(site: Trouble, tmp_path_factory: pytest.TempPathFactory) -> Iterator[BadServer]:
    """Serves packages to apt below /apt, and to pip below /simple: the only ones that the host knows."""
    site.play("packages: [python3-venv]")
    site.works()
    root = tmp_path_factory.mktemp("mirror")
    source = Source(site.host)
    for name in APT:
        source.package(f"apt-{name.replace(' ', '-')}", size=30_000)
    source.package("bulky", size=4 << 20)
    source.publish()
    site.sh("systemctl stop apt-source")
    os.symlink(source.directory, root / "apt")
    made = root / "wheels"
    made.mkdir()
    data = {"tools/data.py": os.urandom(15_000).hex()}
    simple(root / "simple", wheel(made, "tools", "1.0", modules=data))
    server = BadServer(root, site.lab.network.gateway)
    host = server.url.split("//")[1].split(":")[0]
    (site.host.root / "etc/apt/sources.list").write_text(f"deb [trusted=yes] {server.url}/apt ./\n")
    (site.host.root / "etc/apt/apt.conf.d/99faults").write_text(PATIENCE)
    (site.host.root / "etc/pip.conf").write_text(
        f"[global]\nindex-url = {server.url}/simple\ntrusted-host = {host}\ntimeout = 2\nretries = 1\n"
    )
    yield server
    server.stop()


# -- apt -----------------------------------------------------------------------------------------------------

APT = {
    "500": "apt-get: Failed to fetch .* 500",
    "refuses": "apt-get: Failed to fetch .* 401",
    "hangs": "apt-get: Failed to fetch .*(timed out|Connection failed)",
    "cuts off": "apt-get: Failed to fetch",
    "corrupts": "apt-get: Failed to fetch .*Hash Sum mismatch",
}


@pytest.mark.parametrize("fault", APT)
def test_the_mirror_of_apt(trouble: Trouble, mirror: BadServer, fault: str) -> None:
    """The mirror of apt answers 500, refuses, hangs, cuts off or corrupts"""
    trouble.sh("rm -rf /var/cache/apt/archives/*.deb; apt-get -qq update")
    trouble.play(f"packages: [apt-{fault.replace(' ', '-')}]")
    with mirror.fault(fault, ".deb"):
        trouble.fails("apt-failed", APT[fault])
    trouble.works()


def test_the_disk_is_full_while_dpkg_unpacks(trouble: Trouble, mirror: BadServer) -> None:
    """The disk is full while dpkg unpacks"""
    trouble.play("packages: [bulky]")
    with trouble.small("/usr/share", "300m"), trouble.full("/usr/share"):
        trouble.fails("disk-full", "no space is left to install packages")
    trouble.works()


# -- pip -----------------------------------------------------------------------------------------------------

PIP = {
    "500": (".whl", "index-unreachable", "cannot be reached"),
    "refuses": ("/tools/", "index-refused", r"refused access \(HTTP 401\)"),
    "hangs": (".whl", "index-unreachable", "cannot be reached"),
    "is silent": ("/tools/", "index-unreachable", "cannot be reached: no answer in time"),
    "cuts off": (".whl", "damaged-download", "arrived damaged, or cut off"),
    "corrupts": (".whl", "damaged-download", "arrived damaged, or cut off"),
}

TOOLS = "environments: {tools: {packages: [tools], installer: pip}}"


@pytest.mark.parametrize("fault", PIP)
def test_the_index_of_pip(trouble: Trouble, mirror: BadServer, fault: str) -> None:
    """The index of pip answers 500, refuses, hangs (at once, or at a file), cuts off or corrupts"""
    match, code, says = PIP[fault]
    trouble.play(TOOLS)
    with mirror.fault("hangs" if fault == "is silent" else fault, match):
        trouble.fails(code, says)


def test_an_index_as_slow_as_a_modem(trouble: Trouble, mirror: BadServer) -> None:
    """An index as slow as a modem: no fault, and what the others have left is mended"""
    trouble.play(TOOLS)
    with mirror.fault("is slow", ".whl"):
        trouble.works()
    trouble.settled()


def test_the_disk_is_full_while_pip_installs(trouble: Trouble, mirror: BadServer) -> None:
    """The disk is full while an environment is made"""
    trouble.play(TOOLS)
    trouble.sh("rm -rf /opt/provision/environments/tools*")
    with trouble.small("/opt/provision/environments", "2m"):
        trouble.fails("disk-full", "No space left on device")
        trouble.sh("mount -o remount,size=200m /opt/provision/environments")
        trouble.works()


def test_dpkg_is_held_for_ever(trouble: Trouble, mirror: BadServer) -> None:
    """The lock of dpkg is held for ever: the holder is named"""
    # Ten minutes are too long for a test.
    ask = (
        "from provision.host.packages import dpkg; from provision.host.machine import Machine\n"
        "from provision.host.failure import Failure\ndpkg.PATIENCE = 1.0\n"
        "try: dpkg.wait_until_free(Machine(lambda e: None, '/x'), 'apt')\n"
        "except Failure as failure: print(failure.code, failure.message)"
    )
    hold = (
        "import fcntl, time; f = open('/var/lib/dpkg/lock-frontend', 'w'); fcntl.lockf(f, 2); time.sleep(99)"
    )
    trouble.sh(f'systemd-run --quiet --unit=holder python3 -c "{hold}"; sleep 0.5')
    try:
        target = f"--target={trouble.host.init.pid}" if trouble.host.init else ""
        command = ["nsenter", target, "--pid", "--mount", "--root", "--", "/usr/bin/python3", "-c", ask]
        sources = trouble.host.root / "srv/sources"
        sources.mkdir(exist_ok=True)
        subprocess.run(["cp", "-r", Path(__file__).parents[2] / "provision", sources], check=True)
        said = subprocess.run(
            [*command[:-3], "/usr/bin/env", "PYTHONPATH=/srv/sources", *command[-3:]],
            capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
    finally:
        trouble.sh("systemctl stop holder")
    assert said.stdout.startswith("apt-locked the package database has been held by python3 (pid "), said
    trouble.note("code", "apt-locked")
    trouble.note("printed", said.stdout.strip())
