"""``python -m tests.bench.gateway``: what a gateway adds to a short chat, and whether streams come as fast.

Applies site.yml to two real hosts: a server, and a gateway in front of it. Each request is made to both in
turns: directly, and through the gateway. The stand-in is a small program that takes next to no time, so that
a small difference can be seen; vLLM is the real one, in its build for CPUs, with a tiny model.
Only the differences within one run mean something: client, gateway and server share one machine.
Needs what the lab needs (root, nspawn).
"""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

from tests.e2e.gateway.client import Client
from tests.lab import Lab, LabError, LabHost

from .measure import Pair, Taken, markdown

HERE = Path(__file__).parent
ROOT = HERE.parents[2]
KEY = "sk-bench"


class Server(NamedTuple):
    """How a server is set up and asked."""

    port: int
    gateway: int
    """The port of the gateway in front of it."""
    length: int
    """Tokens of a stream."""
    streams: int
    """At once."""
    gap: float
    """Seconds between two tokens. Without, the cores that all share would be what is measured."""


SERVERS = {"stand-in": Server(8101, 8201, 500, 8, 0.005), "vllm": Server(8102, 8202, 200, 4, 0.0)}


def main(arguments: list[str] | None = None) -> int:
    """Parse the command line, measure, report."""
    options = _options(arguments)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    measured: list[Taken] = []
    try:
        with Lab(f"gateway-{os.getpid()}", owned=True) as lab:
            lab.up(0)
            (server,) = lab.add("server", binds=(f"{ROOT / 'playbooks/models'}:/srv/models",))
            (front,) = lab.add("front")
            for name in options.servers:
                _apply(lab, name)
                how = SERVERS[name]
                clients = {
                    "bare": Client(server.address, how.port),
                    "gateway": Client(front.address, how.gateway, KEY),
                }
                pair = Pair(name, clients, how.length, how.streams, how.gap)
                print(f"{name}: load of the machine {os.getloadavg()[0]:.1f}", file=sys.stderr, flush=True)
                measured += pair.measure(options.rounds, options.requests)
                print(_haproxy(front, pair))
            print(f"{os.cpu_count()} cores, {options.rounds} rounds.\n\n{markdown(measured)}")
    except LabError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


def _apply(lab: Lab, name: str) -> None:
    """Set up one server and its gateway, and let the others be."""
    argv = [sys.executable, "-m", "provision", "apply", str(HERE / "site.yml"), "--yes", "--tags", name]
    argv += ["-i", str(lab.inventory), "-e", f"upstream={ROOT / 'tests/e2e/gateway/upstream.py'}"]
    done = subprocess.run(
        argv, capture_output=True, text=True, check=False, env={**os.environ, "BENCH_KEY": KEY}
    )
    if done.returncode != 0:
        raise LabError(f"{name} could not be set up:\n{done.stdout[-4000:]}{done.stderr[-2000:]}")


def _haproxy(front: LabHost, pair: Pair) -> str:
    """Return what HAProxy takes: memory, and its processor time for streams."""
    version = front.exec(["haproxy", "-v"]).stdout.split()[2]
    before = _seconds(front)
    for _ in range(3):
        pair.rate("gateway")
    used = (_seconds(front) - before) / (3 * pair.streams * pair.length)
    sizes = front.exec(["ps", "-C", "haproxy", "-o", "rss="]).stdout.split()
    memory = max(int(size) for size in sizes) / 1000
    return f"HAProxy {version}: {memory:.0f} MB; {used * 1e6:.0f} µs of a core for each token of {pair.name}"


def _seconds(front: LabHost) -> float:
    """Return the processor time of all HAProxy so far."""
    script = "for pid in $(pgrep -x haproxy); do cut -d ' ' -f 14,15 /proc/$pid/stat; done"
    ticks = front.exec(["sh", "-c", script]).stdout.split()
    return sum(map(int, ticks)) / os.sysconf("SC_CLK_TCK")


def _options(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.gateway", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5, help="medians are shown (default: 5)")
    parser.add_argument(
        "--requests", type=int, default=100, help="short requests by each way in a round (default: 100)"
    )
    parser.add_argument(
        "--servers",
        nargs="+",
        choices=list(SERVERS),
        default=list(SERVERS),
        metavar="SERVER",
        help=", ".join(SERVERS),
    )
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
