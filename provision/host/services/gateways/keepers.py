"""Keepers: the transient units that keep servers of a gateway out of rotation, and their leases.

A keeper goes on when the host side, the connection or the controller ends. While somebody holds its lease, it
lets its server in only when it is stopped; after that also when the server answers by itself.
"""

from __future__ import annotations

import fcntl
import os
import sys
import time

from provision.host.failure import Failure
from provision.host.files import atomic
from provision.host.machine import Machine
from provision.host.services import systemd
from provision.host.services.gateways import haproxy_admin, haproxy_keeper

PLACE = "/run/provision-gateways"
"""The directory of the keepers' program and of their leases."""

LEASE = ".lease"
"""How the names of leases end."""

LOOK = 0.2
"""Seconds between two tries to take a lease."""

TAKEN = 30.0
"""Seconds that a lease may be held by somebody else: a keeper has it while it ends."""

STOP = 90.0
"""Seconds that the end of a keeper may take: HAProxy may be reloading."""


def socket(gateway: str) -> str:
    """Return the admin socket of a gateway."""
    return f"/run/provision-{gateway}/admin.sock"


class Keeper:
    """What keeps one server of a gateway out of rotation, whether it runs or not.

    Args:
        machine: the host of the gateway.
        gateway: its service.
        service: the service that it passes requests to.
        server: the server, by the name of its host.
    """

    def __init__(self, machine: Machine, gateway: str, service: str, server: str) -> None:
        self._machine = machine
        self.gateway = gateway
        self.service = service
        self.server = server
        # No name of a service or a host has a colon in it.
        names = f"{gateway}:{service}:{server}"
        self.unit = f"provision-out-{names}.service"
        self._lease = os.path.join(PLACE, names + LEASE)

    def runs(self) -> bool:
        """Whether it runs, and so the server is out of rotation."""
        return self._state() in ("active", "activating")

    def since(self) -> tuple[float, str] | None:
        """Return for how many seconds it has run, and for whom; None when it does not run."""
        asked = ["systemctl", "show", "--property", "ActiveState,ActiveEnterTimestampMonotonic,Description"]
        said = self._machine.run([*asked, self.unit], timeout=20, check=False).out
        found = dict(line.partition("=")[::2] for line in said.splitlines())
        if found.get("ActiveState") not in ("active", "activating"):
            return None
        entered = int(found.get("ActiveEnterTimestampMonotonic") or 0) / 1e6
        return time.monotonic() - entered, found.get("Description", "").rpartition(", ")[2]

    def take(self) -> int:
        """Take the lease; it is held until the returned file is closed, or this process has ended.

        Raises:
            Failure: another run holds it.
        """
        os.makedirs(PLACE, mode=0o700, exist_ok=True)
        file = os.open(self._lease, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        last = time.monotonic() + TAKEN
        while not _locked(file):
            if time.monotonic() > last:
                raise Failure(
                    "held-by-another-run",
                    f"another run holds {self.server} out of rotation at {self.gateway}",
                    hint="wait for it, or end it if nobody needs it any more",
                )
            self._machine.sleep(LOOK)
        last = time.monotonic() + STOP
        while self._state() == "deactivating" and time.monotonic() < last:
            self._machine.sleep(LOOK)  # it is just putting the server back
        return file

    def _state(self) -> str:
        return systemd.fresh(self._machine, self.unit).get("ActiveState", "")

    def needed(self) -> bool:
        """Whether somebody holds the lease."""
        try:
            file = os.open(self._lease, os.O_RDWR | os.O_CLOEXEC)
        except FileNotFoundError:
            return False
        try:
            return not _locked(file)
        finally:
            os.close(file)

    def start(self, keys: str, who: str) -> None:
        """Start it.

        Args:
            keys: the file with the keys that servers ask for.
            who: for whom the server is out.
        """
        for module in (haproxy_admin, haproxy_keeper):
            name = module.__name__
            source = module.__loader__.get_source(name)  # type: ignore[union-attr]
            atomic.write(os.path.join(PLACE, f"{name.rpartition('.')[2]}.py"), source.encode(), 0o600)
        program = [sys.executable, "-I", os.path.join(PLACE, "haproxy_keeper.py"), socket(self.gateway)]
        server = f"{self.service}/{self.server}"
        properties = [
            f"ExecStopPost={' '.join([*program, 'back', server])}",
            f"TimeoutStopSec={STOP:.0f}",
            # Killed, it has put the server back, and takes it out again.
            "Restart=on-failure",
            "RestartSec=100ms",
        ]
        argv = ["systemd-run", "--collect", "--quiet", "--unit", self.unit]
        argv += ["--description", f"{server} is out of rotation at {self.gateway}, for {who}"]
        argv += [word for each in properties for word in ("--property", each)]
        self._machine.run([*argv, *program, "keep", server, self._lease, keys], timeout=60)

    def stop(self) -> None:
        """End it: its unit puts the server back."""
        self._machine.run(["systemctl", "stop", self.unit], timeout=STOP, check=False)


def beside(keeper: Keeper, machine: Machine) -> list[Keeper]:
    """Return the keepers of the other servers of the same service, as far as they have ever run."""
    try:
        found = [each[: -len(LEASE)].split(":") for each in os.listdir(PLACE) if each.endswith(LEASE)]
    except FileNotFoundError:
        return []
    same = [each for each in found if each[:2] == [keeper.gateway, keeper.service]]
    return [Keeper(machine, *each) for each in same if each[2] != keeper.server]


def _locked(file: int) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True
