"""Whether the nodes of a service reach each other: each opens ports, and tries those of the others."""

from __future__ import annotations

import concurrent.futures
import os
import socket
from typing import Sequence

from provision.host.failure import Failure
from provision.host.machine import Machine
from provision.host.services.nodes import rank
from provision.wire.finding import Finding, fault
from provision.wire.nodes import Meeting, Peer

PATIENCE = 5.0
"""Seconds for one connection."""

NFT = "/usr/sbin/nft"
"""The program that closes ports."""

_HINT = (
    "open the ports between the nodes, or name the interface or `addresses` by which they reach each other"
)


class Doors:
    """Ports that other nodes can try: those of the service, unless it has them open itself, and one more.

    Args:
        meeting: of this node.

    Raises:
        Failure: there is no such interface.
    """

    def __init__(self, meeting: Meeting) -> None:
        try:
            own = rank.place(meeting.interface, "")[0] if meeting.interface is not None else None
        except rank.Ended as ended:
            raise Failure("unreachable-node", str(ended), "name one that each node has") from None
        self.address = own or meeting.address
        self._open: list[socket.socket] = []
        self.ports: list[int] = []
        for port in (*meeting.ports, 0):
            try:
                door = rank.listening(port)
            except OSError:
                self.ports.append(port)  # the service runs, and has it open itself
            else:
                self._open.append(door)
                self.ports.append(door.getsockname()[1])

    def __enter__(self) -> Doors:
        """Leave them open: the kernel takes the connections."""
        return self

    def __exit__(self, *error: object) -> None:
        """Close them."""
        for door in self._open:
            door.close()


def tried(host: str, meeting: Meeting, peers: Sequence[Peer]) -> list[Finding]:
    """Return which ports of other nodes this one does not reach; `host` is its name."""
    source = rank.place(meeting.interface, "")[0] if meeting.interface is not None else None
    over = f" over {meeting.interface}" if meeting.interface is not None else ""
    ways = [(peer, port) for peer in peers for port in peer.ports]
    with concurrent.futures.ThreadPoolExecutor(min(len(ways), 32) or 1) as pool:
        troubles = list(pool.map(lambda way: _trouble(way[0].address, way[1], source), ways))
    found = []
    for (peer, port), why in zip(ways, troubles):
        if why is not None:
            message = f"{host} cannot reach {peer.address}:{port} of {peer.host}{over}: {why}"
            found.append(fault("unreachable-node", message, _HINT))
    return found


def _trouble(address: str, port: int, source: str | None) -> str | None:
    try:
        socket.create_connection((address, port), PATIENCE, (source, 0) if source else None).close()
    except socket.timeout:
        return f"no answer within {PATIENCE:.0f} s"
    except OSError as error:
        return error.strerror or str(error)
    return None


def shut_out(machine: Machine, host: str, meeting: Meeting, peers: Sequence[Peer]) -> list[Finding]:
    """Return what the firewall would close that must stay open; `host` is the name of this one."""
    closed = meeting.closed
    if closed is None:
        return []
    found = []
    if not os.access(NFT, os.X_OK):
        message = f"the firewall of {host} needs {NFT}, which is not there"
        found.append(fault("missing-program", message, "add nftables to the `packages` of the play"))
    for peer in peers:
        if peer.address not in closed.let_in:
            message = f"the firewall of {host} would not let in {peer.host}, which is {peer.address}"
            hint = f"write `addresses: {{{peer.host}: {peer.address}}}`"
            found.append(fault("unreachable-node", message, hint))
    for port in _ssh(machine):
        if closed.first <= port <= closed.last and port not in closed.spared:
            message = f"the firewall of {host} would close port {port}, where sshd listens"
            found.append(
                fault("firewall-lockout", message, f"write `port: {port}` for it into the inventory")
            )
    return found


def _ssh(machine: Machine) -> list[int]:
    """Return the ports where sshd listens."""
    told = machine.run(["ss", "-Hltnp"], timeout=20, check=False)
    sockets = [line.split() for line in told.out.splitlines() if '"sshd"' in line]
    return sorted({int(words[3].rpartition(":")[2]) for words in sockets})
