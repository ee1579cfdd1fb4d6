"""What systemd says over its own socket, compared with what `systemctl` prints."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.lab import LabHost

pytestmark = pytest.mark.lab

UNIT = "[Service]\nExecStart=/bin/sh -c '{command}'\n{more}\n[Install]\nWantedBy=multi-user.target\n"

ASK = """
import json, sys
sys.path.insert(0, "/src")
from provision.host.machine import Machine
from provision.host.services import bus, systemd
machine = Machine(print, "/var/tmp/state")
asked = systemd._show(machine, [systemd.OURS])
bus.SOCKET = sys.argv[1]
print(json.dumps([asked, bus.units(systemd.OURS) if sys.argv[2] == "bus" else systemd.units(machine)]))
"""


def ask(host: LabHost, socket: str = "/run/systemd/private", by: str = "bus") -> list[dict[str, Any]]:
    """Return all of our units as `systemctl` shows them, and as they are read otherwise."""
    found: list[dict[str, Any]] = json.loads(host.exec(["python3", "-c", ASK, socket, by]).stdout)
    return found


def test_the_same_as_systemctl(host: LabHost) -> None:
    for name, command, more in [
        ("runs", "sleep 1000", "Restart=always"),
        ("ends", "exit 3", ""),
        ("again", "kill -9 $$$$", "Restart=always\nRestartSec=600"),
        ("over", "true", "RemainAfterExit=yes"),
    ]:
        path = host.root / f"etc/systemd/system/provision-{name}.service"
        path.write_text(UNIT.format(command=command, more=more), encoding="ascii")
    host.exec(["systemctl", "daemon-reload"])
    host.exec(["systemctl", "enable", "provision-runs"])
    for name in ("runs", "ends", "again", "over"):
        host.exec(["systemctl", "start", f"provision-{name}"])
    host.exec(["sh", "-c", "until systemctl is-failed -q provision-ends; do sleep 0.1; done"])
    changed = host.root / "etc/systemd/system/provision-over.service"
    changed.write_text(UNIT.format(command="false", more=""), encoding="ascii")
    shown, found = ask(host)
    assert {unit: {key: shown[unit][key] for key in found[unit]} for unit in shown} == found
    assert {name: unit["SubState"] for name, unit in found.items()} == {
        "provision-runs.service": "running",
        "provision-ends.service": "failed",
        "provision-again.service": "auto-restart",
        "provision-over.service": "exited",
    }
    assert found["provision-over.service"]["NeedDaemonReload"] == "yes"
    assert found["provision-runs.service"]["UnitFileState"] == "enabled"


@pytest.mark.parametrize("socket", ["/nowhere", "/run/dbus/system_bus_socket"])
def test_otherwise_systemctl_is_asked(host: LabHost, socket: str) -> None:
    shown, found = ask(host, socket, "any")
    assert shown == found
