"""A private bridge per lab, with NAT to the world."""

from __future__ import annotations

import ipaddress
import json
import re
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from .commands import run
from .errors import LabError

_POOL = ipaddress.IPv4Network("10.187.0.0/16")
_FIRST_HOST = 10


@dataclass(frozen=True)
class Network:
    """The /24 of one lab: the controller is .1 on the bridge, host number i is .(10+i)."""

    bridge: str
    subnet: str

    @property
    def gateway(self) -> str:
        """The controller's address on the bridge."""
        return str(ipaddress.IPv4Network(self.subnet)[1])

    def address(self, number: int) -> str:
        """The address of the host with this number, counted from 1."""
        if not 1 <= number <= 254 - _FIRST_HOST:
            raise LabError(f"a lab has room for {254 - _FIRST_HOST} hosts")
        return str(ipaddress.IPv4Network(self.subnet)[_FIRST_HOST + number])

    def up(self) -> None:
        """Make the bridge, unless it is there, and let its hosts out through NAT."""
        if not Path("/sys/class/net", self.bridge).exists():
            run(["ip", "link", "add", self.bridge, "type", "bridge"])
            run(["ip", "address", "add", f"{self.gateway}/24", "dev", self.bridge])
            run(["ip", "link", "set", self.bridge, "up"])
        Path("/proc/sys/net/ipv4/ip_forward").write_text("1", encoding="ascii")
        for table, rule in self._rules():
            if not self._has(table, rule):
                _iptables("-t", table, "-I", *rule)

    def down(self) -> None:
        """Remove the bridge and its rules; what is gone already is no error."""
        for table, rule in self._rules():
            while self._has(table, rule):
                _iptables("-t", table, "-D", *rule)
        if Path("/sys/class/net", self.bridge).exists():
            run(["ip", "link", "delete", self.bridge])

    def _rules(self) -> list[tuple[str, list[str]]]:
        mark = ["-m", "comment", "--comment", f"provision-lab {self.bridge}"]
        return [
            ("nat", ["POSTROUTING", "-s", self.subnet, "!", "-o", self.bridge, *mark, "-j", "MASQUERADE"]),
            ("filter", ["FORWARD", "-i", self.bridge, *mark, "-j", "ACCEPT"]),
            ("filter", ["FORWARD", "-o", self.bridge, *mark, "-j", "ACCEPT"]),
        ]

    def _has(self, table: str, rule: list[str]) -> bool:
        listed = _iptables("-t", table, "-S", rule[0])
        mark = f'--comment "provision-lab {self.bridge}"'
        interface = rule[rule.index("-i") :][:2] if "-i" in rule else rule[rule.index("-o") :][:2]
        return any(mark in line and " ".join(interface) in line for line in listed.splitlines())


def _iptables(*arguments: str) -> str:
    """Run iptables; over nftables a change fails when another program has changed the rules meanwhile."""
    for _ in range(4):
        try:
            return run(["iptables", "--wait", *arguments])
        except LabError:
            time.sleep(0.3)
    return run(["iptables", "--wait", *arguments])


def choose_network(taken: Iterable[Network]) -> Network:
    """A /24 that neither another lab nor a route of this machine uses, and its bridge name."""
    routes = json.loads(run(["ip", "-json", "-4", "route", "show", "table", "all"]))
    used = [ipaddress.IPv4Network(network.subnet) for network in taken]
    for route in routes:
        destination = str(route.get("dst", ""))
        if re.fullmatch(r"[\d.]+(/\d+)?", destination) and not destination.endswith("/0"):
            used.append(ipaddress.IPv4Network(destination, strict=False))
    for number, subnet in enumerate(_POOL.subnets(new_prefix=24)):
        bridge = f"plab{number}"
        if not any(subnet.overlaps(other) for other in used) and not Path("/sys/class/net", bridge).exists():
            return Network(bridge, str(subnet))
    raise LabError(f"no free /24 is left in {_POOL}; end a lab: python -m tests.lab down --all")
