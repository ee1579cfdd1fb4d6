"""Commands on the admin socket of a gateway's HAProxy. Also a program by itself, on Python 3.8 and up.

haproxy_admin.py SOCKET show                          the servers, one a line
haproxy_admin.py SOCKET drain BACKEND/SERVER          out of rotation; what runs there is finished
haproxy_admin.py SOCKET ready BACKEND/SERVER          back in rotation
haproxy_admin.py SOCKET reload PID STATE FILE         a new process takes over, and the state of the servers

A backend is a service, a server is a host.
"""

from __future__ import annotations

import csv
import fcntl
import os
import re
import signal
import socket
import sys
import time
from contextlib import contextmanager
from typing import Iterator, NamedTuple

ANSWER = 10.0
"""Seconds for one answer on the socket."""

TAKEOVER = 60.0
"""Seconds until a new process has to be in charge."""

LOOK = 0.05

DRAIN, READY = "drain", "ready"

_NAME = re.compile(r"[A-Za-z0-9._-]+")

_MAINTAINED, _DRAINED = 0x01, 0x08
"""The flags of a server that was taken out by `state maint` and by `state drain`."""

_RUNNING = "2"
"""The state of a server that answers the checks."""


class AdminError(Exception):
    """HAProxy does not answer, or refuses a command."""


class Server(NamedTuple):
    """One server of one backend, as HAProxy sees it now.

    Args:
        backend: the service.
        name: the host.
        state: HAProxy's word: `UP`, `DOWN`, `DRAIN`, `MAINT`, `UP 1/3` while checks fail, and so on.
        sessions: the requests that run there.
        queued: the requests that wait for it.
        weight: its share of the requests.
    """

    backend: str
    name: str
    state: str
    sessions: int
    queued: int
    weight: int

    @property
    def up(self) -> bool:
        """Whether it gets new requests."""
        return self.state.startswith("UP") and self.weight > 0


class Standing(NamedTuple):
    """Whether a server is in rotation, as HAProxy notes it for the process that takes over from it.

    Args:
        out: it was taken out of rotation.
        maintained: it was, in the way of `maint`: no check asks it either.
        healthy: it answers the checks.
        address: where it is reached.
        port: the same.
        tls: whether it speaks TLS.
    """

    out: bool
    maintained: bool
    healthy: bool
    address: str
    port: int
    tls: bool


def ask(path: str, command: str) -> str:
    """Return what HAProxy answers to one command.

    Raises:
        AdminError: there is no socket, nobody answers there, or not in time.
    """
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as line:
        line.settimeout(ANSWER)
        try:
            line.connect(path)
            line.sendall(command.encode("ascii") + b"\n")
            pieces: list[bytes] = []
            while True:
                piece = line.recv(65536)
                if not piece:
                    return b"".join(pieces).decode("utf-8", "replace")
                pieces.append(piece)
        except OSError as error:
            raise AdminError(f"{path}: {error.strerror or error}") from None


def servers(path: str) -> list[Server]:
    """Return the servers of all backends that are services."""
    lines = ask(path, "show stat -1 4 -1").lstrip("# ").splitlines()
    return [
        Server(
            each["pxname"],
            each["svname"],
            each["status"],
            int(each["scur"] or 0),
            int(each["qcur"] or 0),
            int(each["weight"] or 0),
        )
        for each in csv.DictReader(line for line in lines if line)
        if ":" not in each["pxname"]
    ]


def server(path: str, backend: str, name: str) -> Server:
    """Return one server.

    Raises:
        AdminError: there is none of this name.
    """
    found = next((each for each in servers(path) if (each.backend, each.name) == (backend, name)), None)
    if found is None:
        raise AdminError(f"there is no server {backend}/{name}")
    return found


def standing(path: str, backend: str, name: str) -> Standing | None:
    """Return how one server stands; None when there is no such server."""
    return standings(path).get((backend, name))


def standings(path: str) -> dict[tuple[str, str], Standing]:
    """Return how the servers stand, by backend and name."""
    standing: dict[tuple[str, str], Standing] = {}
    names: list[str] = []
    for line in ask(path, "show servers state").splitlines():
        words = line.split()
        if line.startswith("# "):
            names = words[1:]
            continue
        found = dict(zip(names, words))
        if "srv_name" in found:
            flags = int(found["srv_admin_state"])
            standing[found["be_name"], found["srv_name"]] = Standing(
                bool(flags & (_MAINTAINED | _DRAINED)),
                bool(flags & _MAINTAINED),
                found["srv_op_state"] == _RUNNING,
                found["srv_addr"],
                int(found["srv_port"]),
                found.get("srv_use_ssl") == "1",
            )
    return standing


def turn(path: str, backend: str, name: str, state: str) -> None:
    """Take a server out of rotation (`drain`: its requests go on), or put it back (`ready`).

    Raises:
        AdminError: there is no such server, or HAProxy refuses.
    """
    if not (_NAME.fullmatch(backend) and _NAME.fullmatch(name)):
        raise AdminError(f"there is no server {backend}/{name}")
    with _alone(path):
        said = ask(path, f"set server {backend}/{name} state {state}").strip()
    if said:
        raise AdminError(f"{backend}/{name}: {said}")


@contextmanager
def _alone(path: str) -> Iterator[None]:
    """Change servers while nobody else does: a change during a reload would be lost to the new process."""
    try:
        folder = os.open(os.path.dirname(path) or ".", os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        raise AdminError(f"{path}: {error.strerror or error}") from None
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)
        yield
    finally:
        os.close(folder)


def worker(path: str) -> int | None:
    """Return the pid of the process that is in charge; None while there is none."""
    try:
        found = re.search(r"^Pid: (\d+)", ask(path, "show info"), re.MULTILINE)
    except AdminError:
        return None
    return int(found.group(1)) if found else None


def save(path: str, file: str, configuration: str) -> None:
    """Write the state of all servers where the next process reads it.

    The port in a line would win over the one in the configuration, so it is replaced by that (seen with 2.6).
    """
    with open(configuration, encoding="utf-8") as new:
        ports = _ports(new.read())
    with open(file + ".new", "w", encoding="utf-8") as new:
        new.write(_with_ports(ask(path, "show servers state"), ports))
    os.replace(file + ".new", file)


def _ports(configuration: str) -> dict[tuple[str, str], str]:
    """Return the ports of servers in a configuration, by backend and server."""
    found: dict[tuple[str, str], str] = {}
    backend = ""
    for line in configuration.splitlines():
        words = line.split()
        if words[:1] == ["backend"]:
            backend = words[1]
        elif words[:1] == ["server"]:
            found[backend, words[1]] = words[2].strip("'").rpartition(":")[2]
    return found


def _with_ports(state: str, ports: dict[tuple[str, str], str]) -> str:
    """Return the answer to `show servers state` with other ports."""
    lines = state.splitlines()
    column = next((line.split()[1:].index("srv_port") for line in lines if line.startswith("# ")), None)
    for number, line in enumerate(lines):
        words = line.split(" ")
        if column is not None and len(words) > column and not line.startswith("#"):
            words[column] = ports.get((words[1], words[3]), words[column])
            lines[number] = " ".join(words)
    return "\n".join(lines) + "\n"


def reload(path: str, master: int, file: str, configuration: str) -> None:
    """Have a new process read the configuration and take over; running requests stay with the old one.

    Raises:
        AdminError: the new process does not take over: it refuses the configuration, as its log says.
    """
    with _alone(path):
        before = worker(path)
        if before is not None:
            save(path, file, configuration)
        told, _ = _refusals(master)
        os.kill(master, signal.SIGUSR2)
        last = time.monotonic() + TAKEOVER
        while time.monotonic() < last:
            now = worker(path)
            if now is not None and now != before:
                return
            times, failed = _refusals(master)
            if times > told and failed:
                raise AdminError("the new process refuses what has changed")
            time.sleep(LOOK)
        raise AdminError(f"no new process has taken over within {TAKEOVER:.0f} s")


def _refusals(master: int) -> tuple[int, int]:
    """Return how often a master has been told to reload, and how many of the last times in vain.

    It notes that in its environment when it starts itself anew (mworker.c: `mworker_proc_list_to_env`). Zeros
    while it loads, and where that cannot be read.
    """
    try:
        with open(f"/proc/{master}/environ", "rb") as file:
            found = file.read().decode("utf-8", "replace").split("\0")
    except OSError:
        return 0, 0
    noted = "".join(each for each in found if each.startswith("HAPROXY_PROCESSES="))
    counts = re.search(r"type=m;[^|]*?;reloads=(\d+);failedreloads=(\d+)", noted)
    if counts is None or "HAPROXY_MWORKER_WAIT_ONLY=1" not in found:
        return 0, 0
    return int(counts.group(1)), int(counts.group(2))


def main(words: list[str]) -> int:
    """Carry out one command of the command line; 0 when that went well."""
    try:
        path, verb, rest = words[0], words[1], words[2:]
        if verb == "show" and not rest:
            for each in servers(path):
                print(f"{each.backend}/{each.name} {each.state} running={each.sessions} queued={each.queued}")
        elif verb in (DRAIN, READY) and len(rest) == 1 and "/" in rest[0]:
            backend, _, name = rest[0].partition("/")
            turn(path, backend, name, verb)
        elif verb == "reload" and len(rest) == 3 and rest[0].isdigit():
            reload(path, int(rest[0]), *rest[1:])
        else:
            raise IndexError
    except IndexError:
        print(__doc__, file=sys.stderr)
        return 2
    except AdminError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
