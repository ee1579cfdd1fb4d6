"""Holding a server of a gateway out of rotation while its service is changed on another host.

The server is out as long as a transient systemd unit runs, the keeper: it goes on when this host side, the
connection or the controller ends, and lets the server in again when that answers by itself.
"""

from __future__ import annotations

import fcntl
import os
import sys
import time

from provision.host.failure import Failure
from provision.host.files import atomic
from provision.host.machine import Machine
from provision.host.services import processes, systemd
from provision.host.services.gateways import haproxy_admin, haproxy_keeper
from provision.wire import events
from provision.wire.requests import Hold

PLACE = "/run/provision-gateways"
"""The directory of the keeper's program and of its leases."""

LOOK = 0.2
"""Seconds between two looks at the requests that still run."""

TELL = 5.0
"""Seconds between two reports of them."""

TAKEN = 30.0
"""Seconds until a server has to be out of rotation."""

UP = 30.0
"""Seconds until HAProxy has to say that a server is up: it looks at it every second or two."""

STOP = 90.0
"""Seconds that the end of a keeper may take: HAProxy may be reloading."""


def hold(machine: Machine, asked: Hold, who: str) -> events.Done:
    """Carry out the verb `hold` on the host of a gateway, for `who`.

    Raises:
        Failure: the server cannot be taken out, or HAProxy does not say that it is up again.
    """
    held = _Held(machine, asked, who)
    seen = held.seen()
    answer = machine.ask(seen, endless=True)
    if not (answer.go and seen.known):
        return events.Done(ok=True)
    lease, standing = held.lease(), held.standing()
    by_hand = standing is not None and standing.out and not held.kept()
    try:
        if not by_hand:
            held.take_out(lease)
        left, seconds = held.drained()
        answer = machine.ask(events.Out(left=left, seconds=seconds, by_hand=by_hand), endless=True)
        if answer.go and not by_hand:
            held.put_back()
    finally:
        os.close(lease)
    return events.Done(ok=True)


class _Held:
    """One server of a gateway here.

    Args:
        machine: this one.
        asked: which gateway and which server.
        who: for whom it is out.
    """

    def __init__(self, machine: Machine, asked: Hold, who: str) -> None:
        self._machine = machine
        self._asked = asked
        self._who = who
        self._socket = f"/run/provision-{asked.gateway}/admin.sock"
        self._names = f"{asked.gateway}:{asked.service}:{asked.server}"
        self._unit = f"provision-out-{self._names}.service"

    def seen(self) -> events.Rotation:
        """Return how the servers of the service are; none where no gateway runs."""
        try:
            found = haproxy_admin.servers(self._socket)
        except haproxy_admin.AdminError:
            found = []
        ours = [each for each in found if each.backend == self._asked.service]
        listed = [events.Beside(host=each.name, up=each.up) for each in ours]
        return events.Rotation(known=any(each.host == self._asked.server for each in listed), servers=listed)

    def standing(self) -> haproxy_admin.Standing | None:
        """Return how the server stands now; None when the gateway has none of this name, or does not run."""
        try:
            return haproxy_admin.standing(self._socket, self._asked.service, self._asked.server)
        except haproxy_admin.AdminError:
            return None

    def kept(self) -> bool:
        """Whether a keeper runs."""
        return systemd.fresh(self._machine, self._unit).get("ActiveState") in ("active", "activating")

    def lease(self) -> int:
        """Take the lease of the keeper, and return its open file."""
        os.makedirs(PLACE, mode=0o700, exist_ok=True)
        lease = os.open(
            self._place(f"{self._names}.lease"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600
        )
        since = time.monotonic()
        while True:
            try:
                fcntl.flock(lease, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return lease
            except OSError:
                if time.monotonic() > since + TAKEN:
                    raise Failure(
                        "held-by-another-run",
                        f"another run holds {self._asked.server} out of rotation at {self._asked.gateway}",
                        hint="wait for it, or end it if nobody needs it any more",
                    ) from None
            self._machine.sleep(LOOK)

    def take_out(self, lease: int) -> None:
        """Start the keeper, unless one runs, and wait until the server is out of rotation."""
        if not self.kept():
            self._start()
        last = time.monotonic() + TAKEN
        while time.monotonic() < last:
            standing = self.standing()
            if standing is None or standing.out:
                return
            self._machine.sleep(LOOK)
        raise Failure(
            "still-in-rotation",
            f"{self._asked.gateway} does not take {self._asked.server} out of rotation",
            hint="see `journalctl -u 'provision-out-*'` on its host",
            log=systemd.journal(self._machine, self._unit, 10),
        )

    def drained(self) -> tuple[int, float]:
        """Wait for the running requests; return how many are left after their time, and the seconds."""
        began = told = time.monotonic()
        while True:
            running = self._running()
            now = time.monotonic()
            if not running or now - began >= self._asked.seconds:
                return running, round(now - began, 3)
            if now - told >= TELL:
                told = now
                requests = "1 running request" if running == 1 else f"{running} running requests"
                self._machine.waiting("", requests, now - began)
            self._machine.sleep(LOOK)

    def put_back(self) -> None:
        """End the keeper, which puts the server back, and wait until HAProxy says that it is up.

        One that does not come back is put back once the checks have noticed that it is gone.

        Raises:
            Failure: HAProxy does not say so in time.
        """
        if self._asked.ends:
            self._await_health(False)
        self._machine.run(["systemctl", "stop", self._unit], timeout=STOP, check=False)
        standing = self.standing()
        moved = standing is not None and self._asked.port not in (None, standing.port)
        if self._asked.ends or standing is None or moved or self._await_health(True):
            return
        raise Failure(
            "not-in-rotation",
            f"{self._asked.service} answers on its own host, and {self._asked.gateway} does not reach it",
            hint="look at the way between the two hosts: firewall, address, certificate",
        )

    # -- steps --------------------------------------------------------------------------------------------

    def _await_health(self, healthy: bool) -> bool:
        """Wait until HAProxy says that the server is up, or down; whether it does in time."""
        last = time.monotonic() + UP
        while time.monotonic() < last:
            standing = self.standing()
            if standing is None or standing.healthy == healthy:
                return True
            self._machine.sleep(LOOK)
        return False

    def _running(self) -> int:
        """Return how many requests run on the server, also those of processes that a reload has replaced."""
        standing = self.standing()
        if standing is None:
            return 0
        try:
            service, name = self._asked.service, self._asked.server
            running = haproxy_admin.server(self._socket, service, name).sessions
            worker = haproxy_admin.worker(self._socket)
        except haproxy_admin.AdminError:
            return 0
        unit = systemd.fresh(self._machine, f"provision-{self._asked.gateway}.service")
        master = systemd.main_pid(unit)
        if master is None:
            return running
        former = processes.tree(master, processes.table()) - {master, worker}
        return running + processes.connected(former, standing.address, standing.port)

    def _start(self) -> None:
        """Start the keeper."""
        for module in (haproxy_admin, haproxy_keeper):
            name = module.__name__
            source = module.__loader__.get_source(name)  # type: ignore[union-attr]
            atomic.write(self._place(f"{name.rpartition('.')[2]}.py"), source.encode(), 0o600)
        program = [sys.executable, "-I", self._place("haproxy_keeper.py"), self._socket]
        server = f"{self._asked.service}/{self._asked.server}"
        back = " ".join([*program, "back", server])
        argv = ["systemd-run", "--collect", "--quiet", "--unit", self._unit]
        argv += ["--description", f"{server} is out of rotation at {self._asked.gateway}, for {self._who}"]
        for each in (
            f"ExecStopPost={back}",
            "Restart=on-failure",
            "RestartSec=100ms",
            f"TimeoutStopSec={STOP:.0f}",
        ):
            argv += ["--property", each]
        argv += [*program, "keep", server, self._place(f"{self._names}.lease"), self._asked.keys]
        self._machine.run(argv, timeout=60)

    def _place(self, name: str) -> str:
        return os.path.join(PLACE, name)
