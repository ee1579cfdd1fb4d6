"""Latency between the controller and its hosts: every packet to them waits in a queue of its own.

This is what ``tc qdisc … netem delay`` does, for kernels that lack netem: a TUN device takes the packets of
local programs to the lab's network and gives each back to the kernel after the delay. The answers come
undelayed, so the round trip grows by the delay. TCP itself is real, slow start and handshake included.
"""

from __future__ import annotations

import argparse
import collections
import fcntl
import os
import select
import signal
import struct
import subprocess
import sys
import time
from pathlib import Path
from types import TracebackType

from tests.lab import Lab, LabError
from tests.lab.commands import run

_TUNSETIFF = 0x400454CA
_IFF_TUN, _IFF_NO_PI = 0x0001, 0x1000
_PACKET = 1 << 16
_TABLE = "187"


class Delay:
    """Adds ``seconds`` to every round trip between this machine and a lab's hosts, while it is entered."""

    def __init__(self, lab: Lab, seconds: float) -> None:
        self.network = lab.network
        self.seconds = seconds
        self.device = f"d{lab.network.bridge}"
        self.process: subprocess.Popen[str] | None = None

    def __enter__(self) -> Delay:
        if not self.seconds:
            return self
        argv = [sys.executable, "-m", "tests.bench.delay", self.device, str(self.seconds)]
        self.process = subprocess.Popen(argv, stdout=subprocess.PIPE, text=True)
        assert self.process.stdout
        if self.process.stdout.readline() != "ready\n":
            raise LabError("no latency can be added: /dev/net/tun cannot be used")
        settings = Path("/proc/sys/net/ipv4/conf", self.device)
        (settings / "accept_local").write_text("1", encoding="ascii")
        (settings / "rp_filter").write_text("0", encoding="ascii")
        run(["ip", "link", "set", self.device, "up"])
        run(["iptables", "--wait", "-t", "nat", "-I", *self._no_masquerade()])
        via = ["dev", self.device, "src", self.network.gateway, "table", _TABLE]
        run(["ip", "route", "add", self.network.subnet, *via])
        run(["ip", "rule", "add", *self._local_programs()])
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.process:
            run(["ip", "rule", "del", *self._local_programs()], check=False)
            run(["iptables", "--wait", "-t", "nat", "-D", *self._no_masquerade()], check=False)
            self.process.terminate()
            self.process.wait()
            self.process = None

    def _local_programs(self) -> list[str]:
        return ["pref", "100", "iif", "lo", "to", self.network.subnet, "lookup", _TABLE]

    def _no_masquerade(self) -> list[str]:
        return ["POSTROUTING", "-o", self.device, "-j", "ACCEPT"]


def _pump(device: str, seconds: float) -> None:
    tun = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    fcntl.ioctl(tun, _TUNSETIFF, struct.pack("16sH22x", device.encode(), _IFF_TUN | _IFF_NO_PI))
    print("ready", flush=True)
    queue: collections.deque[tuple[float, bytes]] = collections.deque()
    while True:
        wait = max(0.0, queue[0][0] - time.monotonic()) if queue else None
        if select.select([tun], [], [], wait)[0]:
            try:
                while True:
                    packet = os.read(tun, _PACKET)
                    queue.append((time.monotonic() + seconds, packet))
            except BlockingIOError:
                pass
        while queue and queue[0][0] <= time.monotonic():
            os.write(tun, queue.popleft()[1])


def main() -> None:
    """Run the queue until the process is ended."""
    parser = argparse.ArgumentParser()
    parser.add_argument("device")
    parser.add_argument("seconds", type=float)
    options = parser.parse_args()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _pump(options.device, options.seconds)


if __name__ == "__main__":
    main()
