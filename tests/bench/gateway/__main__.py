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

from tests.e2e.gateway.client import Client
from tests.lab import Lab, LabError, LabHost

from .measure import Pair, Taken, markdown

HERE = Path(__file__).parent
ROOT = HERE.parents[2]
KEY = "sk-bench"

SERVERS = {"stand-in": (8101, 8201, 500, 8), "vllm": (8102, 8202, 200, 4)}
"""Ports of the server and of its gateway, the length of a stream, and how many at once."""


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
                direct, through, length, streams = SERVERS[name]
                clients = {
                    "bare": Client(server.address, direct),
                    "gateway": Client(front.address, through, KEY),
                }
                print(f"  {name}: load of the machine {os.getloadavg()[0]:.1f}", file=sys.stderr, flush=True)
                measured += Pair(name, clients, length, streams).measure(options.rounds, options.requests)
            print(f"{os.cpu_count()} cores, {_haproxy(front)}. {options.rounds} rounds.\n")
            print(markdown(measured))
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


def _haproxy(front: LabHost) -> str:
    """Return the release of HAProxy, and the memory that its processes take."""
    version = front.exec(["haproxy", "-v"]).stdout.split()[2]
    sizes = front.exec(["ps", "-C", "haproxy", "-o", "rss="]).stdout.split()
    return f"HAProxy {version} ({', '.join(f'{int(size) / 1000:.0f} MB' for size in sizes)})"


def _options(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.gateway", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5, help="medians are shown (default: 5)")
    parser.add_argument(
        "--requests", type=int, default=100, help="short requests by each way in a round (default: 100)"
    )
    parser.add_argument(
        "--servers",
        nargs="+",
        choices=SERVERS,
        default=list(SERVERS),
        metavar="SERVER",
        help=", ".join(SERVERS),
    )
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
