"""The resource type `sysctl`, with the kernel and the systemd of a booted Debian."""

from __future__ import annotations

from pathlib import Path

import pytest

from provision.wire.specs.sysctl import SysctlSpec
from tests.e2e.command import Provision
from tests.host.conftest import Drive
from tests.lab import Lab, LabHost

pytestmark = pytest.mark.lab

NAME = "net.core.somaxconn"
FILE = f"/etc/sysctl.d/99-zz-provision-{NAME}.conf"


def live(host: LabHost, name: str = NAME) -> str:
    return host.exec(["cat", "/proc/sys/" + name.replace(".", "/")]).stdout.strip()


def test_made_unchanged_damaged_mended_and_removed(there: Drive, host: LabHost) -> None:
    first = live(host)
    made = there(SysctlSpec(name=NAME, value="4097"))
    assert (made["error"], made["left"], made["before"]) == (None, {}, {"live": first, "boot": None})
    assert live(host) == "4097"
    assert host.exec(["stat", "-c", "%a %U", FILE]).stdout.strip() == "644 root"
    assert there(SysctlSpec(name=NAME, value="4097"))["changes"] == {}

    host.exec(["sh", "-c", f"echo 200 > /proc/sys/{NAME.replace('.', '/')}"])
    assert there(SysctlSpec(name=NAME, value="4097"))["changes"] == {"live": ["200", "4097"]}
    host.exec(["sh", "-c", f"echo 200 > /proc/sys/{NAME.replace('.', '/')}"])
    # What the host itself does at boot, with all its files:
    host.exec(["/usr/lib/systemd/systemd-sysctl"], check=False)
    assert live(host) == "4097"

    host.exec(["sh", "-c", f"echo '{NAME} = 300' > /etc/sysctl.d/10-other.conf"])
    assert there(SysctlSpec(name=NAME, value="4097"))["changes"] == {}  # ours comes after it
    assert there(SysctlSpec(name=NAME, value="4097"), verb="remove")["removed"] is True
    assert live(host) == "300"
    assert there(SysctlSpec(name=NAME, value="4097"), verb="remove")["removed"] is False
    host.exec(["rm", "/etc/sysctl.d/10-other.conf"])


def test_several_numbers_and_a_name_with_slashes(there: Drive, host: LabHost) -> None:
    spec = SysctlSpec(name="net/ipv4/ip_local_port_range", value="20000 60001")
    assert there(spec)["error"] is None
    assert live(host, "net.ipv4.ip_local_port_range").split() == ["20000", "60001"]
    assert there(spec)["changes"] == {}
    assert there(SysctlSpec(name="net.ipv4.ip_local_port_range", value="20000 60001"))["changes"] == {}
    there(spec, verb="remove")


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("net.core.somaxcon", "5", "the kernel has no parameter net.core.somaxcon"),
        (NAME, "many", f"{NAME} cannot be set to many: Invalid argument"),
        ("vm.swappiness", "7", "vm.swappiness cannot be set to 7: Read-only file system"),
    ],
)
def test_what_the_kernel_refuses_is_not_kept(
    there: Drive, host: LabHost, name: str, value: str, said: str
) -> None:
    assert there(SysctlSpec(name=name, value=value))["error"] == said
    assert host.exec(["ls", "/etc/sysctl.d"]).stdout.count("provision") == 0


def test_a_file_that_comes_later_is_named(there: Drive, host: LabHost) -> None:
    host.exec(["sh", "-c", "echo 'net.ipv4.*.ip_forward = 1' > /etc/sysctl.d/zz.conf"])
    host.exec(["sh", "-c", f"echo '{NAME} = 5' > /etc/sysctl.d/zzz.conf"])
    failed = there(SysctlSpec(name=NAME, value="4098"))
    assert failed["left"] == {"boot": ["5", "4098"]}
    assert failed["missed"] == f"{NAME} will be 5 after a reboot: /etc/sysctl.d/zzz.conf comes after our file"
    host.exec(["sh", "-c", "rm /etc/sysctl.d/zz*.conf"])
    assert there(SysctlSpec(name=NAME, value="4098"))["changes"] == {}
    there(SysctlSpec(name=NAME, value="4098"), verb="remove")


def test_what_a_playbook_declares_survives_a_reboot(lab: Lab, lab_host: LabHost, tmp_path: Path) -> None:
    playbook = tmp_path / "p.yml"
    playbook.write_text(
        f"- {{hosts: all, sysctls: {{{NAME}: 4099, net.ipv4.tcp_rmem: 4096  131072 6291456}}}}"
    )
    provision = Provision(["-i", str(lab.inventory), "--limit", lab_host.name])
    assert provision.apply(playbook).done(lab_host.name)["counts"]["changed"] == 2
    assert provision.apply(playbook).done(lab_host.name)["counts"] == {
        **dict.fromkeys(("changed", "failed", "skipped"), 0),
        "ok": 2,
    }
    lab_host.reboot()
    assert live(lab_host) == "4099"
    assert live(lab_host, "net.ipv4.tcp_rmem").split() == ["4096", "131072", "6291456"]
    assert provision.run("remove", playbook, "--yes").code == 0
    assert lab_host.exec(["ls", "/etc/sysctl.d"]).stdout.count("provision") == 0
