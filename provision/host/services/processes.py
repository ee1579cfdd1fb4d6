"""Which processes there are, whose they are, and who listens where; read from `/proc`.

A zombie counts as dead: in a container without an init it may stay for ever, and it holds no resources.
"""

from __future__ import annotations

import os
import pwd
import socket
import struct
from typing import Iterable, Iterator, NamedTuple

TICKS = os.sysconf("SC_CLK_TCK")
"""Clock ticks a second, the unit of a process's start time."""

LISTEN = "0A"
"""The state of a listening socket in `/proc/net/tcp`."""


class Process(NamedTuple):
    """A living process."""

    pid: int
    name: str
    parent: int
    group: int
    session: int
    start: int
    """Ticks since the boot: together with the pid it identifies the process for ever."""


class Listener(NamedTuple):
    """Who has a listening socket on a port."""

    pid: int | None
    """None when the process belongs to another user, whose open files are hidden from us."""
    name: str
    user: str

    def __str__(self) -> str:
        return f"{self.name} (pid {self.pid}, {self.user})" if self.pid else f"a process of {self.user}"


def process(pid: int) -> Process | None:
    """Return a process, or None when it is dead."""
    text = _read(pid, "stat")
    if not text:
        return None
    # The name stands in brackets and may hold anything, brackets and spaces too.
    before, _, after = text.rpartition(")")
    fields = after.split()
    if fields[0] in "ZXx":
        return None
    name = before.partition("(")[2]
    return Process(pid, name, int(fields[1]), int(fields[2]), int(fields[3]), int(fields[19]))


def table() -> dict[int, Process]:
    """Return all living processes by pid."""
    found = (process(int(entry)) for entry in os.listdir("/proc") if entry.isdigit())
    return {each.pid: each for each in found if each}


def boot() -> str:
    """Return the id of this boot of the machine."""
    with open("/proc/sys/kernel/random/boot_id", encoding="utf-8") as file:
        return file.read().strip()


def invocation(pid: int) -> str | None:
    """Return what identifies this life of a process, `<pid>:<start>:<boot>`, or None when it is dead."""
    found = process(pid) if pid > 0 else None
    return f"{pid}:{found.start}:{boot()}" if found else None


def alive(life: str) -> int | None:
    """Return the pid of an invocation that still runs, or None: a pid used again is another invocation."""
    head = life.partition(":")[0]
    return int(head) if head.isdigit() and invocation(int(head)) == life else None


def uptime(pid: int) -> float | None:
    """Return for how many seconds a process has run, or None when it is dead."""
    found = process(pid)
    if found is None:
        return None
    with open("/proc/uptime", encoding="utf-8") as file:
        since_boot = float(file.read().split()[0])
    return max(0.0, since_boot - found.start / TICKS)


def cgroup(pid: int) -> str:
    """Return the control groups of a process, one a line, as the kernel tells; empty when it is dead."""
    return _read(pid, "cgroup")


def arguments(pid: int) -> list[str]:
    """Return the command line of a process; empty when it is dead."""
    return _read(pid, "cmdline").split("\0")


def environment(pid: int) -> list[str]:
    """Return the variables that a process was started with, `NAME=value`; empty when we may not read them."""
    return _read(pid, "environ").split("\0")


def mapped(pid: int) -> str:
    """Return what a process has mapped into its memory, libraries among it; empty when we may not read it."""
    return _read(pid, "maps")


def _read(pid: int, name: str) -> str:
    try:
        with open(f"/proc/{pid}/{name}", encoding="utf-8", errors="replace") as file:
            return file.read()
    except (FileNotFoundError, ProcessLookupError, PermissionError):
        return ""


def tree(root: int, among: dict[int, Process]) -> set[int]:
    """Return a process and all its descendants."""
    children: dict[int, list[int]] = {}
    for each in among.values():
        children.setdefault(each.parent, []).append(each.pid)
    found: set[int] = set()
    left = [root] if root in among else []
    while left:
        pid = left.pop()
        if pid not in found:
            found.add(pid)
            left.extend(children.get(pid, []))
    return found


def ancestors(pid: int, among: dict[int, Process]) -> set[int]:
    """Return a process and all those above it."""
    found: set[int] = set()
    while pid in among and pid not in found:
        found.add(pid)
        pid = among[pid].parent
    return found


def marked(variables: dict[str, str], among: Iterable[int]) -> set[int]:
    """Return the processes that were started with all of these environment variables.

    Those whose environment we may not read are not found.
    """
    wanted = {f"{name}={value}" for name, value in variables.items()}
    return {pid for pid in among if wanted <= set(environment(pid))}


def members(root: int | None, variables: dict[str, str]) -> dict[int, Process]:
    """Return what belongs to a service: its main process's descendants, group and session, and marked strays.

    This process and its ancestors never do, even when somebody runs us from inside the service.
    """
    among = table()
    found = marked(variables, among)
    if root is not None:
        found |= tree(root, among)
        found |= {each.pid for each in among.values() if root in (each.session, each.group)}
    found -= ancestors(os.getpid(), among)
    return {pid: among[pid] for pid in found}


def lives(known: Process) -> bool:
    """Whether a process still lives: its parent may have changed since, its start has not."""
    now = process(known.pid)
    return now is not None and now.start == known.start


def send(signum: int, to: Iterable[Process]) -> None:
    """Send a signal to processes; those that have ended, or whose pid is another's by now, get none."""
    for each in to:
        if lives(each):
            try:
                os.kill(each.pid, signum)
            except (ProcessLookupError, PermissionError):
                pass


# -- ports ------------------------------------------------------------------------------------------------


def listeners(port: int, host: str | None = None) -> list[Listener]:
    """Return who listens on a TCP port, so that nobody else can.

    Only those at `host` count, a numeric address or `localhost`; None or any other name means every address.
    """
    wanted = {"localhost": {"127.0.0.1", "::1"}}.get(host or "", {host})
    matters = None if wanted & {None, "", "0.0.0.0", "::"} or not all(map(_numeric, wanted)) else wanted
    sockets: dict[str, int] = {}
    for fields in _sockets():
        address, _, number = fields[1].rpartition(":")
        if fields[3] != LISTEN or int(number, 16) != port:
            continue
        if matters is None or _address(address) in matters | {"0.0.0.0", "::"}:
            sockets[f"socket:[{fields[9]}]"] = int(fields[7])
    if not sockets:
        return []
    owners = _owners(set(sockets))
    among = table()
    found = {
        Listener(pid, among[pid].name if pid in among else "?", _user(uid))
        for inode, uid in sockets.items()
        for pid in owners.get(inode, ())
    }
    hidden = {Listener(None, "?", _user(uid)) for inode, uid in sockets.items() if inode not in owners}
    return sorted(found | hidden, key=lambda each: each.pid or 0)


def connected(pids: Iterable[int], address: str, port: int) -> int:
    """Return how many TCP connections to a place some processes have open."""
    to: set[str] = set()
    for fields in _sockets():
        place, _, number = fields[2].rpartition(":")
        if int(number, 16) == port and _address(place) == address:
            to.add(f"socket:[{fields[9]}]")
    owners = _owners(to, map(str, pids)) if to else {}
    return sum(map(len, owners.values()))


def _sockets() -> Iterator[list[str]]:
    """Give the fields of each TCP socket in `/proc/net`."""
    for name in ("tcp", "tcp6"):
        try:
            with open(f"/proc/net/{name}", encoding="utf-8") as file:
                rows = file.read().splitlines()[1:]
        except FileNotFoundError:
            continue
        for row in rows:
            yield row.split()


def _address(digits: str) -> str:
    """Return an address of `/proc/net/tcp`, 32-bit words in the machine's byte order, as people write it."""
    words = [int(digits[at : at + 8], 16) for at in range(0, len(digits), 8)]
    packed = struct.pack(f"={len(words)}I", *words)
    return socket.inet_ntop(socket.AF_INET if len(words) == 1 else socket.AF_INET6, packed)


def _numeric(host: str | None) -> bool:
    for family in (socket.AF_INET, socket.AF_INET6):
        try:
            socket.inet_pton(family, host or "")
            return True
        except OSError:
            continue
    return False


def _owners(inodes: set[str], among: Iterable[str] | None = None) -> dict[str, list[int]]:
    owners: dict[str, list[int]] = {}
    for entry in os.listdir("/proc") if among is None else among:
        if not entry.isdigit():
            continue
        try:
            with os.scandir(f"/proc/{entry}/fd") as files:
                for file in files:
                    target = os.readlink(file.path)
                    if target in inodes:
                        owners.setdefault(target, []).append(int(entry))
        except OSError:
            continue
    return owners


def _user(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"user {uid}"
