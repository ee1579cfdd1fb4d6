"""One node of a Ray cluster: it joins the head, and ends when the cluster does not know it any more.

    python DIRECTORY SERVICE --node gpu-2 --head gpu-1 --address ADDRESS --port PORT --client-port PORT
                     --names FILE --state FILE --temporary DIRECTORY [--interface NAME] -- OPTION …

The options are those of `ray start`, which runs as a child. `ray start --block` alone does not do: it stays
when its raylet was ended by SIGTERM, and a raylet whose head has gone ends only after most of a minute and
thousands of lines of log. So this program asks the cluster every few seconds for the nodes that are alive.
When this one is not among them any more, all of it ends, and the supervisor starts it anew. A node that is
not the head then waits for the head, however long that takes.

A directory with this file and `rank.py` is copied to hosts, where the Python of an environment with Ray runs
it: Python 3.9 and later.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from importlib.util import find_spec
from types import FrameType
from typing import Any, NamedTuple, NoReturn, Sequence

from provision.host.services.nodes import rank

BEAT = 2.0
"""Seconds between two looks at the cluster."""

LOOK = 0.5
"""Seconds between two looks at the child."""

LOST = 15.0
"""Seconds for which the cluster may be silent before the node is given up."""

JOIN = 300.0
"""Seconds from the start of the child until the cluster has to know the node."""

TRIES = 6
"""How often Ray is started until it stays: on a busy host, what it allows its own processes is not enough."""

STOP = 40.0
"""Seconds that Ray has to end: it lets a node finish its tasks for 30 s."""

KEPT = 2
"""Earlier sessions whose logs are kept in the temporary directory."""

SHOWN = 12
"""Lines of Ray's own logs that are shown when it has failed."""

_FAULTS = re.compile(r"^\[[^]]* [EC] |\bERROR\b|Error\b|Check failed|Traceback")

_ADVICE = re.compile(rb"\t(INFO|SUCC) (scripts|cli_output_helpers|usage_lib)\.py:")


class Seen(NamedTuple):
    """What the cluster says.

    Args:
        nodes: by the id of each, its name and whether it is alive.
        made: the versions of Ray and of Python that the head has.
    """

    nodes: dict[str, tuple[str, bool]]
    made: tuple[str, str]

    @property
    def alive(self) -> set[str]:
        """The names of the nodes that are alive."""
        return {name for name, alive in self.nodes.values() if alive}


class Eye(threading.Thread):
    """Asks the cluster again and again. Ray's client may wait for a minute and heed no signal meanwhile.

    Args:
        address: host and port of the head's GCS.
    """

    def __init__(self, address: tuple[str, int]) -> None:
        super().__init__(daemon=True)
        self._address = address
        self._client: Any = None
        self.seen: Seen | None = None
        self.when = 0.0
        self.count = 0
        self.error = ""

    def run(self) -> None:
        """Ask until the process ends."""
        while True:
            began = time.monotonic()
            try:
                self.seen = self._ask()
                self.when = time.monotonic()
                self.count += 1
                self.error = ""
            except Exception as error:  # whatever Ray raises: it is told, and tried again
                self._client = None
                self.error = _first_line(error)
            time.sleep(max(0.2, BEAT - (time.monotonic() - began)))

    def _ask(self) -> Seen:
        # Ray's client would wait for a port that refuses.
        socket.create_connection(self._address, 3.0).close()
        if self._client is None:
            from ray._raylet import GcsClient

            self._client = GcsClient(address=joined(*self._address))
        said = json.loads(self._client.internal_kv_get(b"CLUSTER_METADATA", b"cluster", timeout=5) or b"{}")
        found = self._client.get_all_node_info(timeout=5)
        nodes = {
            key.hex() if hasattr(key, "hex") else str(key): (each.node_name, each.state == 0)
            for key, each in found.items()
        }
        return Seen(nodes, (str(said.get("ray_version", "")), str(said.get("python_version", ""))))


class Node(rank.Teller):
    """The node that runs here.

    Args:
        asked: the options of the command line.
        options: those of `ray start`.
    """

    def __init__(self, asked: argparse.Namespace, options: Sequence[str]) -> None:
        super().__init__(asked)
        self.options = options
        self.is_head = asked.node == asked.head
        self.child: subprocess.Popen[bytes] | None = None
        self.eye: Eye | None = None
        self._before: set[str] = set()
        self._logged: dict[str, int] = {}
        self._stopping = False

    def _heed(self, number: int, frame: FrameType | None) -> None:
        self._stopping = True

    # -- steps --------------------------------------------------------------------------------------------

    def run(self) -> int:
        """Join the cluster and stay in it; return the exit code."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._heed)
        try:
            own, head = self.own_place() if self.is_head else self.find_head()
            self.sweep()
            self.start(own, head)
            self.stay(own, head)
        except rank.Ended as ended:
            self.tell(f"ends: {ended}")
            self.end_child()
            return 1
        except Stopped:
            self.end_child()
        return 0

    def own_place(self) -> tuple[str, str]:
        """Return the address of this node, which is the head, twice."""
        known = rank.addresses()
        if self.asked.interface is not None:
            own = rank.place(self.asked.interface, "")[0]
            return own, own
        try:
            found = [str(each[4][0]) for each in socket.getaddrinfo(self.asked.address, None)]
        except OSError as error:
            raise rank.Ended(f"{self.asked.address} has no address: {error.strerror or error}") from None
        here = {address for interface, each in known.items() if interface != "lo" for address in each}
        own = next((address for address in found if address in here), "")
        if not own:
            raise rank.Ended(
                f"{self.asked.address} is no address of this host that others reach; it has "
                f"{', '.join(sorted(here)) or 'none'}: name one in `addresses`, or the `interface`"
            )
        return own, own

    def find_head(self) -> tuple[str, str]:
        """Wait for the head; return the address of this node, and that of the head."""
        place = (self.asked.address, self.asked.port)
        why = ""
        while True:
            self.note(rank.WAITING, [self.asked.head], why)
            try:
                with socket.create_connection(place, 3.0) as line:
                    here, there = (rank.plain(end[0]) for end in (line.getsockname(), line.getpeername()))
            except OSError as error:
                self.eye = None
                why = f"{joined(*place)}: {error.strerror or error}"
                self.tell(f"waits for {self.asked.head} at {why}", again=False)
                self.rest(1.0)
                continue
            own = rank.place(self.asked.interface, here)[0]
            if self.eye is None:
                self.watch(there)
            assert self.eye is not None
            seen = self.eye.seen
            why = self.eye.error or (self.misfit() if seen else "")
            if seen and not why and self.asked.head not in seen.alive:
                why = "it starts itself"  # Ray would give up after a while, and hold it up meanwhile
            if seen and not why:
                return own, there
            if why:
                self.tell(f"waits for {self.asked.head}: {why}", again=False)
            self.rest(LOOK)

    def misfit(self) -> str:
        """Say in what this node differs from the head; Ray's own words for it are of something else."""
        import ray

        assert self.eye is not None
        assert self.eye.seen is not None
        here, there = (ray.__version__, platform.python_version()), self.eye.seen.made
        if here == there or not there[0]:
            return ""
        return (
            f"{self.asked.head} has Ray {there[0]} with Python {there[1]}, "
            f"and {self.asked.node} has Ray {here[0]} with Python {here[1]}"
        )

    def sweep(self) -> None:
        """Remove what earlier sessions have left, except for the last ones."""
        place = self.asked.temporary
        try:
            found = [os.path.join(place, name) for name in os.listdir(place) if name.startswith("session_2")]
        except OSError:
            return
        for old in sorted(found)[: -KEPT or None]:
            shutil.rmtree(old, ignore_errors=True)

    def start(self, own: str, head: str) -> None:
        """Start Ray."""
        # A former life of this node may still count as alive.
        self._before = (
            set(self.eye.seen.nodes) if self.eye is not None and self.eye.seen is not None else set()
        )
        ray = os.path.join(os.path.dirname(sys.executable), "ray")
        port = self.asked.port
        role = ["--head", f"--port={port}"] if self.is_head else [f"--address={joined(head, port)}"]
        words = [*role, f"--node-ip-address={own}", f"--node-name={self.asked.node}"]
        if self.is_head and find_spec("grpc") is not None:  # else Ray has no server for remote clients
            words.append(f"--ray-client-server-port={self.asked.client_port}")
        self._logged = {path: os.path.getsize(path) for path in self.logs() if os.path.exists(path)}
        self.tell(f"{'is the head' if self.is_head else f'joins {self.asked.head}'} at {own}")
        self.note(rank.STARTING)
        interface = rank.place(self.asked.interface, own)[1]
        # The processes that run tasks inherit these.
        known = {"VLLM_HOST_IP": own, "NCCL_SOCKET_IFNAME": interface, "GLOO_SOCKET_IFNAME": interface}
        self.child = subprocess.Popen(
            [sys.executable, ray, "start", *words, "--block", *self.options],
            env={**known, **os.environ},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        threading.Thread(target=self.relay, args=(self.child,), daemon=True).start()
        if self.eye is None:
            self.watch(own)

    def relay(self, child: subprocess.Popen[bytes]) -> None:
        """Pass on what Ray prints, without its advice to a person at a terminal."""
        assert child.stdout is not None
        for line in child.stdout:
            if not _ADVICE.search(line):
                sys.stderr.buffer.write(line)
                sys.stderr.buffer.flush()

    def watch(self, head: str) -> None:
        """Begin to ask the cluster."""
        self.eye = Eye((head, self.asked.port))
        self.eye.start()

    def stay(self, own: str, head: str) -> None:
        """Watch Ray until it ends, or the cluster does not know this node any more."""
        assert self.eye is not None
        assert self.child is not None
        began, identity, count, tries = time.monotonic(), "", self.eye.count, 1
        while True:
            self.rest(LOOK)
            now = time.monotonic()
            code = self.child.poll()
            if code is not None:
                self.show_faults()
                if identity or tries == TRIES:
                    raise rank.Ended(f"`ray start` has ended (exit {code})")
                self.tell(f"`ray start` has ended (exit {code}), and is tried again")
                self.start(own, head)
                began, tries = now, tries + 1
            if identity and now - self.eye.when > LOST:
                raise rank.Ended(f"{self.asked.head} does not answer: {self.eye.error or 'no answer'}")
            if not identity and now - began > JOIN:
                self.show_faults()
                raise rank.Ended(f"{self.asked.head} does not know this node after {JOIN:.0f} s")
            if self.eye.count == count or self.eye.seen is None:
                continue
            count, seen = self.eye.count, self.eye.seen
            if not identity:
                mine = [id for id, (name, alive) in seen.nodes.items() if alive and name == self.asked.node]
                identity = next((id for id in mine if id not in self._before), "")
                if identity:
                    self.keep_open()
            elif not seen.nodes.get(identity, ("", False))[1]:
                raise rank.Ended(f"{self.asked.head} does not count this node as alive any more")
            if identity:
                self.serve(seen)

    def keep_open(self) -> None:
        """Make what Ray makes when the first program connects.

        If root is the first, it would be root's, and no task would start on this node any more.
        """
        try:
            os.makedirs(os.path.join(os.path.dirname(self.logs()[0]), "export_events"), exist_ok=True)
        except OSError as error:
            self.tell(f"programs of root may be in the way of others here: {error}")

    def serve(self, seen: Seen) -> None:
        """Note how the cluster is. It is complete when all declared nodes are alive; the head says so."""
        missing = [name for name in self.names() if name not in seen.alive]
        if self.is_head and missing:
            self.note(rank.WAITING, missing)
            self.tell(f"waits for {', '.join(missing)}", again=False)
        else:
            self.note(rank.SERVING, missing)

    def names(self) -> list[str]:
        """Return the declared nodes. They may change while this runs, so they are in a file."""
        try:
            with open(self.asked.names, encoding="utf-8") as file:
                found: list[str] = json.load(file)
        except (OSError, ValueError):
            return []
        return found

    def rest(self, seconds: float) -> None:
        """Wait; raises `Stopped` once the service is stopped."""
        until = time.monotonic() + seconds
        while not self._stopping and time.monotonic() < until:
            time.sleep(min(LOOK, seconds))
        if self._stopping:
            raise Stopped

    def end_child(self) -> None:
        """End Ray; what it leaves behind, the supervisor kills."""
        if self.child is None or self.child.poll() is not None:
            return
        self.child.terminate()
        try:
            self.child.wait(STOP if self._stopping else rank.GRACE)
        except subprocess.TimeoutExpired:
            self.child.kill()

    # -- telling ------------------------------------------------------------------------------------------

    def show_faults(self) -> None:
        """Repeat what Ray's own logs, which are files, tell of faults."""
        for path in self.logs():
            try:
                with open(path, encoding="utf-8", errors="replace") as file:
                    file.seek(self._logged.get(path, 0))  # what an earlier try has left does not count
                    lines = file.readlines()[-500:]
            except OSError:
                continue
            for line in [each.rstrip() for each in lines if _FAULTS.search(each)][-SHOWN:]:
                print(f"{os.path.basename(path)}: {line[:500]}", file=sys.stderr, flush=True)

    def logs(self) -> list[str]:
        """Return the logs of the session that may tell why Ray has failed."""
        place = os.path.realpath(os.path.join(self.asked.temporary, "session_latest", "logs"))
        return [os.path.join(place, name) for name in ("gcs_server.out", "raylet.out", "raylet.err")]


class Stopped(Exception):
    """The service is stopped on purpose."""


def joined(address: str, port: int) -> str:
    """Return address and port in one."""
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"


def _first_line(error: Exception) -> str:
    text = str(error).strip() or type(error).__name__
    return text.splitlines()[0][:300]


def main(arguments: list[str]) -> NoReturn:
    """Be a node."""
    at = arguments.index("--") if "--" in arguments else len(arguments)
    parser = argparse.ArgumentParser(prog="ray_node")
    parser.add_argument("service")
    for name in ("--node", "--head", "--address", "--names", "--state", "--temporary"):
        parser.add_argument(name, required=True)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--client-port", type=int, required=True)
    parser.add_argument("--interface")
    code = Node(parser.parse_args(arguments[:at]), arguments[at + 1 :]).run()
    sys.stderr.flush()
    os._exit(code)  # Ray's threads may still wait for the head
