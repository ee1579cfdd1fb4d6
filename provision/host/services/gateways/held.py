"""One server of a gateway that is taken out of rotation, while its service is changed on another host."""

from __future__ import annotations

import time

from provision.host.failure import Failure
from provision.host.machine import Machine
from provision.host.services import processes, supervision, systemd
from provision.host.services.gateways import haproxy_admin, keepers
from provision.wire import questions
from provision.wire.requests import Hold

LOOK = 0.2
"""Seconds between two looks at HAProxy."""

TELL = 5.0
"""Seconds between two reports of the requests that still run."""

TAKEN = 30.0
"""Seconds until HAProxy has to answer, and a server to be out of rotation."""

ADMITTED = 60.0
"""Seconds that another server, which its keeper lets in, is waited for."""

UP = 30.0
"""Seconds until HAProxy has to say that a server is up: it looks at it every second or two."""


class Held:
    """A server of a gateway here.

    Args:
        machine: this one.
        asked: which gateway and which server.
        who: for whom it is out.
    """

    def __init__(self, machine: Machine, asked: Hold, who: str) -> None:
        self._machine = machine
        self._asked = asked
        self._who = who
        self._socket = keepers.socket(asked.gateway)
        self._gateway = f"provision-{asked.gateway}.service"
        self.keeper = keepers.Keeper(machine, asked.gateway, asked.service, asked.server)

    def look(self) -> questions.Rotation:
        """Return how the servers of the service are; none where no gateway runs.

        Where no other one is up, those that their keepers let in by themselves are waited for.

        Raises:
            Failure: the gateway runs, and does not say.
        """
        last = time.monotonic() + ADMITTED
        while True:
            found = [each for each in self._servers() if each.backend == self._asked.service]
            known = any(each.name == self._asked.server for each in found)
            others = any(each.up and each.name != self._asked.server for each in found)
            if not known or others or time.monotonic() > last or not self._another_comes():
                listed = [questions.Beside(host=each.name, up=each.up) for each in found]
                return questions.Rotation(known=known, servers=listed)
            self._machine.sleep(LOOK)

    def standing(self) -> haproxy_admin.Standing | None:
        """Return how the server stands now; None when the gateway has none of this name, or does not run."""
        try:
            return haproxy_admin.standing(self._socket, self._asked.service, self._asked.server)
        except haproxy_admin.AdminError:
            return None

    def take_out(self) -> None:
        """Start the keeper, unless it runs, and wait until the server is out of rotation.

        Raises:
            Failure: it does not get out.
        """
        if not self.keeper.runs():
            self.keeper.start(self._asked.keys, self._who)
        last = time.monotonic() + TAKEN
        while time.monotonic() < last:
            standing = self.standing()
            if standing is not None and standing.out:
                return
            if standing is None and not self._serves():
                return
            self._machine.sleep(LOOK)
        raise Failure(
            "still-in-rotation",
            f"{self._asked.gateway} does not take {self._asked.server} out of rotation",
            hint="see `journalctl -u 'provision-out-*'` on its host",
            log=systemd.journal(self._machine, self.keeper.unit, 10),
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

        One that does not come back is put back once the checks have noticed that it is gone. One that will
        listen on another port comes back with the gateway's own change.

        Raises:
            Failure: HAProxy does not say so in time.
        """
        if self._asked.ends:
            self._await_health(False)
        self.keeper.stop()
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

    def _serves(self) -> bool:
        return supervision.active(systemd.fresh(self._machine, self._gateway))

    def _servers(self) -> list[haproxy_admin.Server]:
        """Return the servers of the gateway; none where it does not run."""
        last = time.monotonic() + TAKEN
        while True:
            try:
                return haproxy_admin.servers(self._socket)
            except haproxy_admin.AdminError as error:
                if not self._serves():
                    return []
                if time.monotonic() > last:
                    message = f"{self._asked.gateway} does not say how its servers are: {error}"
                    raise Failure("still-in-rotation", message) from None
            self._machine.sleep(LOOK)

    def _another_comes(self) -> bool:
        """Whether a keeper that nobody needs any more lets another server in when that answers."""
        others = keepers.beside(self.keeper, self._machine)
        return any(not each.needed() and each.runs() for each in others)

    def _await_health(self, healthy: bool) -> bool:
        """Wait until HAProxy says that the server is up, or down; whether it does in time."""
        last = time.monotonic() + UP
        while time.monotonic() < last:
            standing = self.standing()
            if standing is not None and standing.healthy == healthy:
                return True
            if standing is None and not self._serves():
                return True
            self._machine.sleep(LOOK)
        return False

    def _running(self) -> int:
        """Return how many requests run on the server, also those of processes that a reload has replaced."""
        try:
            service, name = self._asked.service, self._asked.server
            standing = haproxy_admin.standing(self._socket, service, name)
            if standing is None:
                return 0
            running = haproxy_admin.server(self._socket, service, name).sessions
            worker = haproxy_admin.worker(self._socket)
        except haproxy_admin.AdminError:
            return int(self._serves())  # it is reloading, or has been stopped
        master = systemd.main_pid(systemd.fresh(self._machine, self._gateway))
        if master is None:
            return running
        former = processes.tree(master, processes.table()) - {master, worker}
        return running + processes.connected(former, standing.address, standing.port)
