"""Services that share a GPU start one after another: what start scripts call to wait for their turn.

    gpu_turn.py SERVICE --cards 0,1 [--implied] [--address HOST] [--port PORT] [--still SECONDS]
                [--limit SECONDS]

A server such as vLLM measures its GPU while it loads, and counts memory that another process allocates
meanwhile as its own. So this program waits until no other service starts on the same GPUs. Then it leaves a
copy of itself in the background that keeps the turn, and ends, and the script goes on to its server. The copy
gives the turn up when the server has its memory, has ended, or has used up its time.

A turn is a Unix socket with an abstract name, one for each GPU. Only one process can have a name, the kernel
frees it when the last process that holds it ends, and services of all users, playbooks and prefixes see it.

This file is copied to hosts and runs there by itself: standard library, Python 3.8.
"""

from __future__ import annotations

import argparse
import os
import re
import select
import shutil
import signal
import socket
import sys
import time
from typing import Iterable, Sequence

WAIT = 3600.0
"""Seconds after which a start goes on although another service still has the turn."""

LIMIT = 1200.0
"""Seconds for which a service keeps the turn at most."""

LOOK = 0.25
"""Seconds between two tries."""

TELL = 30.0
"""Seconds between two lines about the same wait."""

MOVED = 64
"""MiB by which the used memory of a GPU has to change to count as a change."""

DEVICES = ("/dev/nvidiactl", "/dev/nvidia0", "/dev/kfd", "/dev/davinci0", "/dev/dxg")
"""Files of which one exists on a machine with GPUs."""


# -- turns ------------------------------------------------------------------------------------------------


def claim(card: str) -> socket.socket | None:
    """Take the turn on a GPU; None while another process has it. Closing the socket gives it up."""
    turn = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        turn.bind(_name(card))
        turn.listen(64)
        turn.setblocking(False)
    except OSError:
        turn.close()
        return None
    return turn


def starting(card: str) -> str | None:
    """Return the service that has the turn on a GPU, "" when it does not say; None when nobody has it."""
    line = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        line.settimeout(1.0)
        line.connect(_name(card))
        return line.recv(1000).decode("utf-8", "replace")
    except ConnectionRefusedError:
        return None
    except OSError:
        return ""
    finally:
        line.close()


def tell(turns: Iterable[socket.socket], service: str, seconds: float) -> None:
    """Tell everybody who asks within some seconds which service has these turns."""
    deadline = time.monotonic() + seconds
    while True:
        left = max(0.0, deadline - time.monotonic())
        asked = select.select(list(turns), [], [], left)[0]
        for turn in asked:
            try:
                line, _ = turn.accept()
                with line:
                    line.send(service.encode())
            except OSError:
                pass
        if not asked:
            return


def said(card: str, who: str) -> str:
    """Return what a service waits for, in words."""
    return f"GPU {card}, on which {who or 'another service'} is starting"


def identified(cards: Sequence[str]) -> list[str]:
    """Return GPUs by index, sorted, whether they were named by index, by UUID, or as `all`.

    A UUID that the driver does not know is kept, and so is that of a MIG instance, which has its own memory.
    """
    known = _uuids() if any(not card.isdigit() for card in cards) else {}
    found = set(known.values() or "0") if "all" in cards else set()
    for card in cards:
        name = card[:4].upper() + card[4:].lower()
        if card == "all":
            continue
        match = [index for uuid, index in known.items() if name.startswith("GPU-") and uuid.startswith(name)]
        found.add(str(int(name)) if name.isdigit() else match[0] if len(match) == 1 else name)
    return sorted(found, key=lambda each: (not each.isdigit(), int(each) if each.isdigit() else 0, each))


def _name(card: str) -> bytes:
    return b"\0provision-gpu-" + card.encode()


def _uuids() -> dict[str, str]:
    lines = re.findall(r"^GPU (\d+):.*\(UUID: (GPU-[0-9a-fA-F-]+)\)", nvidia_smi("-L") or "", re.MULTILINE)
    return {uuid[:4] + uuid[4:].lower(): index for index, uuid in lines}


def nvidia_smi(*words: str) -> str | None:
    """Return what the driver's tool prints; None where there is none, or it fails within 20 s."""
    import subprocess  # not at the top: this file also runs by itself, and few starts need it

    try:
        answer = subprocess.run(["nvidia-smi", *words], capture_output=True, timeout=20, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return answer.stdout.decode("utf-8", "replace")


# -- waiting ----------------------------------------------------------------------------------------------


def wait(service: str, cards: Sequence[str], parent: int) -> list[socket.socket] | None:
    """Wait for the turn on each GPU, in one order for all services, so that no two wait for each other.

    Returns: the turns, fewer when the wait took too long; None when the script that waits has ended.
    """
    begun = time.monotonic()
    spoken = ""
    again = 0.0
    turns: list[socket.socket] = []
    for card in cards:
        turn = claim(card)
        while turn is None:
            now = time.monotonic()
            if os.getppid() != parent:
                return None
            if now > begun + WAIT:
                say(service, f"starts without its turn on GPU {card}: it has waited for {WAIT:.0f} s")
                break
            who = starting(card)
            if who is not None and (said(card, who) != spoken or now > again):
                spoken, again = said(card, who), now + TELL
                say(service, f"waits for {spoken} ({now - begun:.0f} s)")
            if turns:
                tell(turns, service, LOOK)
            else:
                time.sleep(LOOK)
            turn = claim(card)
        if turn is not None:
            turns.append(turn)
    if spoken:
        say(service, f"starts after {time.monotonic() - begun:.0f} s of waiting for its turn")
    return turns


def say(service: str, text: str) -> None:
    """Write a line into the service's log."""
    print(f"provision: {service} {text}", file=sys.stderr, flush=True)


# -- keeping the turn -------------------------------------------------------------------------------------


class Memory:
    """The memory in use on some GPUs, and since when it has not changed."""

    def __init__(self, cards: Sequence[str]) -> None:
        self._cards = cards
        self._used: list[int] | None = None
        self._since = self._looked = time.monotonic()

    def look(self) -> float:
        """Look, at most once a second; return for how many seconds nothing has changed."""
        now = time.monotonic()
        if now - self._looked >= 1:
            self._looked = now
            used = self._read()
            before = self._used or used
            if len(used) != len(before) or any(abs(a - b) > MOVED for a, b in zip(used, before)):
                self._since, self._used = now, used
            self._used = self._used or used
        return now - self._since

    def _read(self) -> list[int]:
        text = nvidia_smi("--query-gpu=index,memory.used", "--format=csv,noheader,nounits") or ""
        rows = dict(re.findall(r"^(\d+), *(\d+)", text, re.MULTILINE))
        mine = [int(used) for index, used in rows.items() if index in self._cards]
        return mine or [int(used) for used in rows.values()]


def answers(host: str, port: int) -> bool:
    """Whether a server is up: its port answers, and its page `/health`, if it has one, with no error 5xx."""
    try:
        line = socket.create_connection((host, port), 2)
    except OSError:
        return False
    with line:
        status = _status(line)
    if status is not None:
        return status < 500
    import ssl  # not at the top: some Pythons have none, and few servers need it

    # No HTTP: what forwards a port to nobody closes the connection; a server with TLS shakes hands.
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    try:
        with socket.create_connection((host, port), 2) as plain, context.wrap_socket(plain) as secured:
            status = _status(secured)
            return status is None or status < 500
    except socket.timeout:
        return True  # it waits for another protocol
    except ssl.SSLError as error:
        return not isinstance(error, ssl.SSLEOFError)
    except OSError:
        return False


def _status(line: socket.socket) -> int | None:
    """Ask for `/health`; return the status, None when no HTTP comes back."""
    try:
        line.settimeout(5)
        line.sendall(b"GET /health HTTP/1.0\r\nHost: localhost\r\n\r\n")
        head = re.match(rb"HTTP/1\.\d (\d{3})", line.recv(200))
    except OSError:
        return None
    return int(head.group(1)) if head else None


def life(pid: int) -> str | None:
    """Return when a process was started, in ticks since the boot; None when it is dead."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            fields = file.read().rpartition(b")")[2].split()
    except OSError:
        return None
    return None if fields[0] in (b"Z", b"X") else fields[19].decode()


def keep(turns: Sequence[socket.socket], cards: Sequence[str], main: int, order: argparse.Namespace) -> None:
    """Keep the turn until the server has its memory, has ended, or its time is over."""
    begun = life(main)
    deadline = time.monotonic() + order.limit
    memory = Memory(cards)
    up = order.port is None
    still = order.still if up or shutil.which("nvidia-smi") else 0.0
    while life(main) == begun is not None:
        tell(turns, order.service, LOOK)
        up = up or answers(order.address, order.port)
        if up and (not still or memory.look() >= still):
            return
        if time.monotonic() > deadline:
            say(order.service, f"lets others start on its GPUs: it was not ready after {order.limit:.0f} s")
            return


def background() -> bool:
    """Go on in a process that nobody waits for; True in that process."""
    child = os.fork()
    if child:
        os.waitpid(child, 0)
        return False
    if os.fork():
        os._exit(0)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    os.chdir("/")
    nothing = os.open(os.devnull, os.O_RDWR)
    os.dup2(nothing, 0)
    os.dup2(nothing, 1)
    os.close(nothing)
    return True


def main() -> int:
    """Wait for the turn of the script that has called this, and keep it in the background."""
    parser = argparse.ArgumentParser()
    parser.add_argument("service")
    parser.add_argument("--cards", required=True)
    parser.add_argument("--implied", action="store_true")
    parser.add_argument("--address", default="127.0.0.1")
    parser.add_argument("--port", type=int)
    parser.add_argument("--still", type=float, default=0.0)
    parser.add_argument("--limit", type=float, default=LIMIT)
    order = parser.parse_args()
    if order.implied and not any(map(os.path.exists, DEVICES)):
        return 0
    script = os.getppid()
    cards = identified([card.strip() for card in order.cards.split(",") if card.strip()])
    turns = wait(order.service, cards, script)
    if turns and background():
        try:
            keep(turns, cards, script, order)
        finally:
            os._exit(0)
    return 0


if __name__ == "__main__":
    sys.exit(main())
