"""The speech service beside the hand-written script, under the same load in the same minutes.

``python -m tests.bench.asr [--rounds N] [--memory N]`` runs both with the Python in ``PROVISION_ASR_PYTHON``
(which has funasr) on the tiny fitted model, in alternating bursts, and prints the table. Only ratios mean
something. A file alone gets the same text from both; under load an answer that differs from that is a wrong
one. Speed counts all answers, wrong ones too.
"""

import argparse
import asyncio
import dataclasses
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.asr import speech
from tests.asr.conftest import model_directory, python

HERE = Path(__file__).parent
ROOT = HERE.parents[2]
BOUNDARY = b"----bench"
PORTS = 18231, 18232
LOADS = {"small": 96, "large": 32, "mixed": 60}
"""Requests in a burst: files of 2 to 3 s (under 100 kB), of 44 s (1.4 MB), and both."""


def request(data):
    body = (
        b"--" + BOUNDARY + b'\r\nContent-Disposition: form-data; name="file"; filename="a.wav"\r\n'
        b"Content-Type: audio/wav\r\n\r\n" + data + b"\r\n--" + BOUNDARY + b"--\r\n"
    )
    head = (
        f"POST /recognize/ HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\nConnection: close\r\n"
        f"Content-Type: multipart/form-data; boundary={BOUNDARY.decode()}\r\n\r\n"
    )
    return head.encode() + body


async def exchange(port, data):
    """Send raw bytes, return the status and the body."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(data)
        answer = await reader.read()
    finally:
        writer.close()
    head, _, body = answer.partition(b"\r\n\r\n")
    if b"transfer-encoding: chunked" in head.lower():
        body = re.sub(rb"(?:\r\n)?[0-9a-fA-F]+\r\n", b"", body, count=1).rsplit(b"\r\n0\r\n", 1)[0]
    return int(head.split(b" ", 2)[1]) if head else 0, body


class Server:
    """One of the two under comparison."""

    def __init__(self, name, command, port, health, directory):
        self.name, self.port, self.health = name, port, health
        self.log = directory / f"{name}.log"
        with open(self.log, "wb") as log:
            self.process = subprocess.Popen(command, cwd=directory, stdout=log, stderr=log,
                                            env={**os.environ, "PYTHONPATH": str(ROOT)})  # fmt: skip

    async def ready(self):
        for _ in range(600):
            try:
                status, _ = await exchange(self.port, self.probe())
                if status == 200:
                    return
            except OSError:
                pass
            if self.process.poll() is not None:
                break
            await asyncio.sleep(0.5)
        raise SystemExit(f"{self.name} did not start:\n{self.log.read_text()[-3000:]}")

    def probe(self):
        return f"GET {self.health} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode()

    def rss(self):
        """Resident megabytes of the process and its children."""
        pids = [self.process.pid]
        pids += map(int, Path(f"/proc/{pids[0]}/task/{pids[0]}/children").read_text().split())
        pages = sum(int(Path(f"/proc/{pid}/statm").read_text().split()[1]) for pid in pids)
        return pages * os.sysconf("SC_PAGE_SIZE") / 1e6

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(30)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


@dataclasses.dataclass
class Total:
    """The sum of some bursts; ``probes`` in milliseconds."""

    seconds: float = 0.0
    requests: int = 0
    wrong: int = 0
    errors: int = 0
    probes: list[float] = dataclasses.field(default_factory=list)

    @property
    def rate(self):
        return self.requests / self.seconds

    def row(self, load, clients, server, base):
        probes = sorted(self.probes)
        cells = [
            load,
            clients,
            server.name,
            f"{self.rate:.1f}",
            f"{self.rate / base.rate:.2f}",
            f"{(self.requests - self.wrong - self.errors) / self.seconds:.1f}",
            f"{self.wrong} of {self.requests}",
            self.errors,
            f"{probes[len(probes) // 2]:.0f}",
            f"{probes[int(len(probes) * 0.99)]:.0f}",
            f"{server.rss():.0f}",
        ]
        return "| " + " | ".join(map(str, cells)) + " |"


async def burst(server, files, expected, clients, count, total):
    """Send ``count`` uploads by ``clients`` clients and add what came of it to ``total``."""
    numbers = iter(range(count))

    async def client():
        for number in numbers:
            index = number * 7 % len(files)
            status, body = await exchange(server.port, files[index])
            text = json.loads(body).get("result") if status == 200 else None
            total.errors += text is None
            total.wrong += text is not None and text != expected[index]

    # The probe is a process of its own: the delays of the busy load generator are not the server's.
    probe = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.bench.asr", "--probe", str(server.port), server.health,
        stdout=asyncio.subprocess.PIPE, cwd=ROOT,
    )  # fmt: skip
    began = time.perf_counter()
    await asyncio.gather(*(client() for _ in range(clients)))
    total.seconds += time.perf_counter() - began
    total.requests += count
    probe.terminate()
    out, _ = await probe.communicate()
    total.probes += [float(line) for line in out.split()]


def probe(port, path):
    """Ask the page every 25 ms on new connections; print how long each answer took in ms, until killed."""
    import http.client

    stop = []
    signal.signal(signal.SIGTERM, lambda *_: stop.append(1))
    while not stop:
        began = time.perf_counter()
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
        try:
            connection.request("GET", path)
            connection.getresponse().read()
        except OSError:
            pass
        connection.close()
        print((time.perf_counter() - began) * 1000, flush=True)
        time.sleep(0.025)


async def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--rounds", type=int, default=3, help="bursts for each server, load and number of clients"
    )
    parser.add_argument(
        "--loads", nargs="+", choices=LOADS, default=list(LOADS), metavar="LOAD", help=", ".join(LOADS)
    )
    parser.add_argument(
        "--memory", type=int, default=0, metavar="N", help="then N small uploads, RSS watched"
    )
    parser.add_argument("--probe", nargs=2, metavar=("PORT", "PATH"), help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.probe:
        probe(int(given.probe[0]), given.probe[1])
        return
    models = model_directory()
    with tempfile.TemporaryDirectory() as directory:
        m, v = str(models / "SenseVoiceSmall"), str(models / "fsmn-vad")
        ours = [python(), "-m", "provision.asr", "--model", m, "--vad-model", v, "--port", str(PORTS[0])]
        script = [python(), str(HERE / "handmade.py"), m, v, str(PORTS[1])]
        servers = [
            Server("ours", [*ours, "--log-level", "warning"], PORTS[0], "/health", Path(directory)),
            Server("handmade", script, PORTS[1], "/", Path(directory)),
        ]
        try:
            for server in servers:
                await server.ready()
            await compare(servers, given.rounds, given.loads)
            if given.memory:
                await memory(servers[0], given.memory)
        finally:
            for server in servers:
                server.stop()


async def compare(servers, rounds, loads):
    small = [speech.small(n)[0] for n in range(12)]
    large = [speech.large(n) for n in range(8)]
    print(
        "| load | clients | server | req/s | ratio | right/s | wrong | errors | probe p50 ms | p99 | RSS MB |"
    )
    print("|---|---|---|---|---|---|---|---|---|---|---|")
    for name in loads:
        waves = {"small": small, "large": large, "mixed": small + large}[name]
        count = LOADS[name]
        files = [request(wave) for wave in waves]
        expected = [await same_text(servers, file) for file in files]
        for clients in (16, 32):
            totals = {server.name: Total() for server in servers}
            for _ in range(rounds):
                for server in servers:
                    await burst(server, files, expected, clients, count, totals[server.name])
            base = totals[servers[-1].name]
            for server in servers:
                print(totals[server.name].row(name, clients, server, base), flush=True)


async def same_text(servers, file):
    """What each server reads from a file alone."""
    texts = [json.loads((await exchange(server.port, file))[1])["result"] for server in servers]
    if len(set(texts)) > 1:
        raise SystemExit(f"alone, the servers read {texts}")
    return texts[0]


async def memory(server, count):
    """Resident memory over many requests."""
    files = [request(speech.small(n)[0]) for n in range(12)]
    expected = [await same_text([server], file) for file in files]
    print("\n| requests | RSS MB of all processes |\n|---|---|")
    total = Total()
    while total.requests < count:
        await burst(server, files, expected, 16, min(500, count - total.requests), total)
        print(f"| {total.requests} | {server.rss():.0f} |", flush=True)
    print(f"\n{total.wrong} wrong, {total.errors} errors")


if __name__ == "__main__":
    asyncio.run(main())
