"""The speech service beside the hand-written script, under the same load in the same minutes.

``python -m tests.bench.asr [--rounds N] [--memory N]`` runs both with the Python in ``PROVISION_ASR_PYTHON``
(which has funasr) on the tiny fitted model, in alternating bursts, and prints the table: medians over the
bursts. Only ratios mean something, and of those the one of right answers: a file alone gets the same text
from both, and under load an answer that differs from it is wrong. Wrong answers are cheap for the script on
mixed files, as it then reads a smaller file of somebody else.
"""

import argparse
import asyncio
import dataclasses
import json
import os
import re
import signal
import statistics
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
LOADS = {"small": 192, "large": 32, "mixed": 80}
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
class Burst:
    """What came of some uploads; ``probes`` in milliseconds."""

    requests: int
    seconds: float = 0.0
    wrong: int = 0
    errors: int = 0
    probes: list[float] = dataclasses.field(default_factory=list)

    @property
    def answers(self):
        """Answers with a text, right or wrong, a second."""
        return (self.requests - self.errors) / self.seconds

    @property
    def right(self):
        """Right answers a second."""
        return (self.requests - self.errors - self.wrong) / self.seconds


def row(load, clients, server, bursts, base):
    """A line of the table over the bursts of one server; ``base`` are those of the one to compare with."""

    def median(name, of):
        return statistics.median(getattr(burst, name) for burst in of)

    def ratio(name):
        ours, theirs = median(name, bursts), median(name, base)
        return f"{ours / theirs:.2f}" if theirs else "∞" if ours else "–"

    probes = sorted(value for burst in bursts for value in burst.probes)
    cells = [
        load,
        clients,
        server.name,
        f"{median('answers', bursts):.1f}",
        ratio("answers"),
        f"{median('right', bursts):.1f}",
        ratio("right"),
        f"{sum(burst.wrong for burst in bursts)} of {sum(burst.requests for burst in bursts)}",
        sum(burst.errors for burst in bursts),
        f"{probes[len(probes) // 2]:.0f}",
        f"{probes[int(len(probes) * 0.99)]:.0f}",
        f"{server.rss():.0f}",
    ]
    return "| " + " | ".join(map(str, cells)) + " |"


async def burst(server, files, expected, clients, count):
    """Send ``count`` uploads by ``clients`` clients; return the Burst."""
    done = Burst(count)
    numbers = iter(range(count))

    async def client():
        for number in numbers:
            index = number * 7 % len(files)
            try:
                status, body = await exchange(server.port, files[index])
                text = json.loads(body).get("result") if status == 200 else None
            except OSError:
                text = None
            done.errors += text is None
            done.wrong += text is not None and text != expected[index]

    # The probe is a process of its own: the delays of the busy load generator are not the server's.
    probe = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.bench.asr", "--probe", str(server.port), server.health,
        stdout=asyncio.subprocess.PIPE, cwd=ROOT,
    )  # fmt: skip
    began = time.perf_counter()
    await asyncio.gather(*(client() for _ in range(clients)))
    done.seconds = time.perf_counter() - began
    probe.terminate()
    out, _ = await probe.communicate()
    done.probes = [float(line) for line in out.split()]
    return done


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
        "| load | clients | server | answers/s | ratio | right answers/s | ratio | wrong | errors "
        "| probe p50 ms | p99 ms | RSS MB |"
    )
    print("|---|" + "---:|" * 11)
    for name in loads:
        waves = {"small": small, "large": large, "mixed": small + large}[name]
        files = [request(wave) for wave in waves]
        expected = [await same_text(servers, file) for file in files]
        for clients in (16, 32):
            bursts = {server.name: [] for server in servers}
            for number in range(rounds):
                for server in servers[:: 1 if number % 2 else -1]:
                    bursts[server.name].append(await burst(server, files, expected, clients, LOADS[name]))
            for server in servers:
                print(row(name, clients, server, bursts[server.name], bursts[servers[-1].name]), flush=True)


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
    sent = wrong = errors = 0
    while sent < count:
        done = await burst(server, files, expected, 16, min(500, count - sent))
        sent, wrong, errors = sent + done.requests, wrong + done.wrong, errors + done.errors
        print(f"| {sent} | {server.rss():.0f} |", flush=True)
    print(f"\n{wrong} wrong, {errors} errors")


if __name__ == "__main__":
    asyncio.run(main())
