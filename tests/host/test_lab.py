"""The lab itself: its hosts are real, its faults are what they say, and nothing is left of it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from tests.lab import Base, Hub, Lab, LabError, LabHost
from tests.lab.lab import reap
from tests.lab.models import CHAT
from tests.lab.process import ProcessId

pytestmark = pytest.mark.lab


def reach(lab: Lab, host: LabHost, *options: str) -> subprocess.CompletedProcess[str]:
    command = ["ssh", "-F", str(lab.ssh_config), *options, host.name, "true"]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def test_the_inventory_reaches_every_host_with_its_key_checked(lab: Lab) -> None:
    hosts = yaml.safe_load(lab.inventory.read_text(encoding="utf-8"))["hosts"]
    assert {"h1", "h2", "h3"} <= set(hosts)
    for name in ("h1", "h2", "h3"):
        host = hosts[name]
        options = [word for option in host["ssh_options"] for word in ("-o", option)]
        command = ["ssh", "-F", "none", "-i", host["identity_file"], *options]
        done = subprocess.run(
            [*command, f"{host['user']}@{host['address']}", "hostname; cat /proc/1/comm"],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.stdout.split() == [name, "systemd"], done.stderr


def test_each_host_has_a_host_key_of_its_own(lab: Lab) -> None:
    keys = [line.split()[2] for line in lab.known_hosts.read_text(encoding="ascii").splitlines()]
    assert len(keys) == len(set(keys)) >= 3


def test_a_host_is_bare(lab_host: LabHost) -> None:
    assert lab_host.ssh(["python3", "-V"]).stdout.startswith("Python 3.")
    for program in ("pip3", "git", "curl", "gcc"):
        assert lab_host.ssh(["which", program], check=False).returncode == 1
    assert lab_host.ssh(["python3", "-m", "venv", "/tmp/v"], check=False).returncode != 0


def test_sudo_asks_ops_for_a_password_and_deploy_for_none(lab: Lab) -> None:
    host = lab["h1"]
    assert host.ssh(["sudo", "-n", "id", "-u"], user="deploy").stdout == "0\n"
    assert host.ssh(["sudo", "-n", "id", "-u"], user="ops", check=False).returncode != 0
    assert host.ssh(["sudo", "-S", "-p", "", "id", "-u"], user="ops", input="ops\n").stdout == "0\n"


def test_apt_and_pip_work_as_on_this_machine(lab_host: LabHost) -> None:
    lab_host.ssh(["apt-get", "update", "-q"])
    lab_host.ssh(["apt-get", "install", "-qy", "--no-install-recommends", "hello", "python3-venv"])
    assert lab_host.ssh(["hello"]).stdout == "Hello, world!\n"
    lab_host.ssh(["python3", "-m", "venv", "/opt/venv"])
    lab_host.ssh(["/opt/venv/bin/pip", "install", "-q", "six"])
    assert lab_host.ssh(["/opt/venv/bin/python", "-c", "import six"]).returncode == 0


def test_a_host_without_python_has_none(boot_host: Callable[..., LabHost]) -> None:
    host = boot_host(base=Base(python=False))
    assert host.ssh(["which", "python3"], check=False).returncode == 1


def test_another_suite(boot_host: Callable[..., LabHost]) -> None:
    host = boot_host(base=Base("trixie"))
    assert "VERSION_CODENAME=trixie" in host.ssh(["cat", "/etc/os-release"]).stdout


def test_a_bind_shows_a_directory_of_the_controller(
    boot_host: Callable[..., LabHost], tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("seen", encoding="utf-8")
    host = boot_host(binds=(f"{tmp_path}:/mnt/shared",))
    assert host.ssh(["cat", "/mnt/shared/file"]).stdout == "seen"


def test_podman_runs_inside_a_host_made_for_it(boot_host: Callable[..., LabHost]) -> None:
    host = boot_host(nested=True)
    host.ssh(["apt-get", "update", "-q"])
    host.ssh(["apt-get", "install", "-qy", "--no-install-recommends", "podman", "crun", "busybox-static"])
    host.ssh(
        ["sh", "-c", "mkdir -p /i/bin && cp /bin/busybox /i/bin/sh && tar -C /i -c . | podman import - i"]
    )
    said = host.ssh(["podman", "run", "--rm", "i", "/bin/sh", "-c", "echo from a container"])
    assert said.stdout == "from a container\n"


def test_a_blackhole_accepts_and_says_nothing(lab: Lab, lab_host: LabHost) -> None:
    lab_host.blackhole()
    said = reach(lab, lab_host, "-o", "ConnectTimeout=2")
    assert said.returncode == 255
    assert "during banner exchange" in said.stderr
    assert lab_host.exec(["hostname"]).stdout == f"{lab_host.name}\n"
    lab_host.revive()
    assert reach(lab, lab_host).returncode == 0


def test_a_full_disk_takes_no_byte_more(lab_host: LabHost) -> None:
    lab_host.small_disk("/data", "1M")
    lab_host.fill("/data")
    full = lab_host.ssh(["dd", "if=/dev/zero", "of=/data/more", "bs=1", "count=1"], check=False)
    assert "No space left on device" in full.stderr
    with pytest.raises(LabError, match="no small disk"):
        lab_host.fill("/")


def test_a_stopped_host_is_gone_and_its_disk_stays(lab: Lab, lab_host: LabHost) -> None:
    lab_host.ssh(["touch", "/root/kept"])
    lab.stop(lab_host.name)
    assert reach(lab, lab_host, "-o", "ConnectTimeout=2").returncode == 255
    lab.start(lab_host.name)
    assert lab_host.ssh(["ls", "/root"]).stdout == "kept\n"


def test_the_hub_is_reached_from_a_host(lab: Lab, hub: Hub) -> None:
    url = f"{hub.url}/{CHAT}/resolve/main/config.json"
    script = f"import urllib.request; print(len(urllib.request.urlopen('{url}').read()))"
    assert int(lab["h1"].ssh(["python3", "-c", script]).stdout) > 100
    assert hub.downloads(CHAT)[-1].status == 200


def test_two_labs_do_not_meet_and_nothing_is_left(lab: Lab) -> None:
    other = Lab(f"pytest-other-{os.getpid()}", owned=True)
    try:
        host = other.up(1)[0]
        assert other.network != lab.network
        assert host.ssh(["hostname"]).stdout == "h1\n"
        supervisor, directory, bridge = host.supervisor, other.directory, other.network.bridge
        again = Lab(other.name)
        assert again["h1"].running
        with pytest.raises(LabError, match="is up already"):
            again.up(1)
    finally:
        other.down()
    other.down()
    assert supervisor is not None
    assert not supervisor.alive()
    assert not directory.exists()
    assert f"{directory}/" not in Path("/proc/self/mounts").read_text(encoding="utf-8")
    assert not Path("/sys/class/net", bridge).exists()
    assert (
        f'lab {bridge}"'
        not in subprocess.run(["iptables-save"], capture_output=True, text=True, check=True).stdout
    )
    assert lab["h1"].running


def test_what_a_crashed_run_left_is_removed(lab: Lab) -> None:
    name = f"pytest-crashed-{os.getpid()}"
    script = (
        "import json, os; from dataclasses import asdict; from tests.lab import Lab; "
        f"lab = Lab({name!r}, owned=True); (host,) = lab.up(1); assert host.running; "
        "print(json.dumps([str(lab.directory), asdict(host.supervisor)]), flush=True); os._exit(1)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=Path(__file__).parents[2], stdout=subprocess.PIPE, check=False
    )
    directory, supervisor = json.loads(done.stdout)
    reap()  # unless another run, which comes up in this moment, has done so already
    assert ProcessId(**supervisor).wait(60)
    assert not Path(directory).exists()
