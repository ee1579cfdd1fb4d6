"""The ranks of a service over several hosts, as real processes: they start together and end together."""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from provision.host.services.nodes import rank

PROGRAM = Path(rank.__file__)

SERVER = """
import os, signal, socket, sys, time
if sys.argv[1:]:
    door = socket.create_server(("127.0.0.1", int(sys.argv[1])))
print("head", os.environ["PROVISION_HEAD"], os.environ["GLOO_SOCKET_IFNAME"], flush=True)
signal.signal(signal.SIGTERM, lambda *_: (time.sleep(0.5), print("drained", flush=True), sys.exit(0)))
time.sleep(600)
"""


def free_ports() -> list[int]:
    """Return two ports that are free at every address, as a rank wants them.

    They are below those that the kernel gives to connections that go out, which would take them again.
    """
    found: list[int] = []
    for port in random.sample(range(15000, 30000), 200):
        with contextlib.suppress(OSError), rank.listening(port):
            found.append(port)
        if len(found) == 2:
            break
    return found


def until(found: Callable[[], Any], seconds: float = 60) -> Any:
    deadline = time.monotonic() + seconds
    while not (value := found()):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    return value


class Group:
    """Ranks on this machine, each of which is started, and killed, by itself."""

    def __init__(self, folder: Path, size: int = 2) -> None:
        self.folder = folder
        self.line, self.serves = free_ports()
        self.names = ",".join(f"gpu-{number}" for number in range(size))
        self.ranks: dict[int, subprocess.Popen[bytes]] = {}

    def start(self, *numbers: int, declared: str = "same", **options: str) -> None:
        for number in numbers:
            argv = [sys.executable, "-I", str(PROGRAM), "chat", "--rank", str(number)]
            argv += ["--nodes", self.names, "--head", "127.0.0.1", "--port", str(self.line)]
            argv += ["--declared", declared, "--state", str(self.folder / f"state{number}")]
            argv += ["--serves", f"127.0.0.1:{self.serves}"] if number == 0 else []
            for name, value in options.items():
                argv += [f"--{name}", value]
            argv += ["--", sys.executable, "-c", SERVER, *([str(self.serves)] if number == 0 else [])]
            with (self.folder / f"log{number}").open("wb") as log:
                self.ranks[number] = subprocess.Popen(argv, stdout=log, stderr=log, start_new_session=True)

    def phase(self, number: int) -> str | None:
        try:
            found = json.loads((self.folder / f"state{number}").read_text())
        except FileNotFoundError:
            return None
        return found["phase"] if found["pid"] == self.ranks[number].pid else None

    def log(self, number: int) -> str:
        return (self.folder / f"log{number}").read_text()

    def serve(self) -> None:
        try:
            until(lambda: all(self.phase(number) == "serving" for number in self.ranks))
        except AssertionError:
            logs = "\n".join(f"rank {number}:\n{self.log(number)}" for number in self.ranks)
            pytest.fail(f"not all ranks serve\n{logs}")

    def program(self, number: int) -> int:
        """Return the pid of the program of a rank."""
        children = Path(f"/proc/{self.ranks[number].pid}/task/{self.ranks[number].pid}/children")
        return int(children.read_text().split()[0])

    def ended(self, number: int) -> int:
        return self.ranks[number].wait(60)

    def close(self) -> None:
        for each in self.ranks.values():
            with contextlib.suppress(ProcessLookupError):
                os.killpg(each.pid, signal.SIGKILL)
            each.wait()


@pytest.fixture
def group(tmp_path: Path) -> Iterator[Group]:
    found = Group(tmp_path)
    yield found
    found.close()


def test_no_program_starts_before_all_ranks_are_there(group: Group) -> None:
    group.start(0)
    until(lambda: "waits for gpu-1 (rank 1)" in group.log(0))
    time.sleep(1)
    assert group.phase(0) == "waiting"
    group.start(1)
    group.serve()
    until(lambda: "head 127.0.0.1 lo" in group.log(1))


def test_a_taken_port_is_one_sentence(group: Group) -> None:
    with rank.listening(group.line):
        group.start(0)
        assert group.ended(0) == 1
    assert group.log(0) == (
        f"provision: chat: ends: cannot listen at port {group.line}: Address already in use\n"
    )


def test_a_rank_waits_for_its_head(group: Group) -> None:
    group.start(1)
    until(lambda: "waits for gpu-0 (rank 0) at 127.0.0.1" in group.log(1))
    group.start(0)
    group.serve()


def test_a_rank_that_waits_for_its_head_can_be_stopped(group: Group) -> None:
    group.start(1)
    until(lambda: group.phase(1) == "waiting")
    group.ranks[1].terminate()
    assert group.ended(1) == 0


@pytest.mark.parametrize("victim", [0, 1])
def test_when_a_program_is_killed_all_ranks_end(group: Group, victim: int) -> None:
    group.start(0, 1)
    group.serve()
    os.kill(group.program(victim), signal.SIGKILL)
    assert group.ended(victim) == 128 + signal.SIGKILL
    assert group.ended(1 - victim) == 1
    assert f"the program of gpu-{victim} (rank {victim}) has ended (signal 9)" in group.log(1 - victim)


@pytest.mark.parametrize("victim", [0, 1])
def test_when_a_rank_is_killed_all_others_end(group: Group, victim: int) -> None:
    group.start(0, 1)
    group.serve()
    group.ranks[victim].kill()
    assert group.ended(1 - victim) == 1
    assert f"the line to gpu-{victim} (rank {victim}) has ended" in group.log(1 - victim)


@pytest.mark.parametrize("victim", [0, 1])
def test_a_rank_that_says_nothing_any_more_counts_as_dead(group: Group, victim: int) -> None:
    group.start(0, 1)
    group.serve()
    group.ranks[victim].send_signal(signal.SIGSTOP)
    assert group.ended(1 - victim) == 1
    assert "nothing heard for 10 s" in group.log(1 - victim)


@pytest.mark.parametrize("stopped", [0, 1])
def test_a_stop_of_any_rank_lets_the_head_finish_first(group: Group, stopped: int) -> None:
    group.start(0, 1)
    group.serve()
    group.ranks[stopped].terminate()
    assert group.ended(stopped) == 0
    assert "drained" in group.log(0)
    group.ended(1 - stopped)
    assert group.log(0).index("drained") > 0


def test_ranks_of_another_declaration_do_not_start(group: Group) -> None:
    group.start(0)
    group.start(1, declared="other")
    until(lambda: "is started with something else than gpu-0 (rank 0): apply to all nodes" in group.log(1))
    assert group.phase(0) == "waiting"


def test_the_head_takes_no_strangers(group: Group) -> None:
    group.start(0)
    until(lambda: "waits for gpu-1" in group.log(0))
    for said in (b"GET / HTTP/1.1\r\n\r\n", b"[1]\n", b'{"rank": 7}\n', b'{"rank": "1"}\n', b""):
        with socket.create_connection(("127.0.0.1", group.line)) as line:
            line.sendall(said)
            line.settimeout(30)
            if said:
                line.recv(1000)
    group.start(1)
    group.serve()


def test_an_interface_that_is_not_there_is_named(group: Group) -> None:
    group.start(0, 1, interface="eth77")
    assert group.ended(0) == 1
    assert "there is no interface eth77 with an address here" in group.log(0)


def test_three_ranks_end_when_one_does(tmp_path: Path) -> None:
    group = Group(tmp_path, 3)
    try:
        group.start(2, 0, 1)
        group.serve()
        group.ranks[2].kill()
        assert [group.ended(0), group.ended(1)] == [1, 1]
        assert "the line to gpu-2 (rank 2) has ended" in group.log(1)
    finally:
        group.close()
