"""One rank of a service that runs over several hosts: the ranks start together, and end together.

    rank.py SERVICE --rank 1 --nodes gpu-1,gpu-2 --head ADDRESS --port PORT --declared DIGEST --state FILE
            [--interface NAME] [--serves ADDRESS:PORT] [--drain SECONDS] -- PROGRAM ARGUMENT …

The first node is the head. Each other rank keeps a line to it: a TCP connection on which both say every two
seconds that they are there. Once all ranks have a line, the head lets them start their programs. When a
program ends, or a line does, all programs are ended, and so is this one: the supervisor brings it back, and
the ranks wait for each other anew. A stop of any rank stops the head's program first, which may finish its
requests.

The program gets `PROVISION_HEAD`, the address of the head as the others reach it, and the variables by which
vLLM, NCCL and Gloo choose the network interface.

This file is copied to hosts and runs there by itself: standard library, Python 3.8.
"""

from __future__ import annotations

import argparse
import json
import os
import select
import signal
import socket
import subprocess
import sys
import time
from types import FrameType
from typing import Any, Dict, NoReturn, Sequence

BEAT = 2.0
"""Seconds between two signs of life on a line."""

SILENT = 10.0
"""Seconds without a sign of life after which a line is dead."""

GRACE = 5.0
"""Seconds that a program has to end once its group is broken; then it is killed."""

LOOK = 0.5
"""Seconds between two looks at the program."""

TRY = 1.0
"""Seconds between two tries to reach the head, and between two tries whether the server answers."""

TELL = 30.0
"""Seconds between two lines of the log about the same wait."""

LONGEST = 65536
"""Bytes of one message at most: whoever sends more is no rank."""

WAITING, STARTING, SERVING = "waiting", "starting", "serving"
"""What a rank does, as its state file says."""

Message = Dict[str, Any]


class Ended(Exception):
    """The group cannot go on; the message says why."""


class Line:
    """A connection between the head and another rank."""

    def __init__(self, connection: socket.socket) -> None:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection.settimeout(SILENT)
        self._connection = connection
        self._pending = b""
        self.heard = time.monotonic()
        self.here = plain(connection.getsockname()[0])
        self.there = plain(connection.getpeername()[0])
        self.rank = -1

    def fileno(self) -> int:
        """Return the descriptor, for `select`."""
        return self._connection.fileno()

    def say(self, **message: Any) -> None:
        """Send a message; one without content is a sign of life."""
        self._connection.sendall(json.dumps(message).encode() + b"\n")

    def hear(self) -> list[Message]:
        """Return what has come; raises `OSError` at the end of the line, `ValueError` for no message."""
        data = self._connection.recv(LONGEST)
        if not data:
            raise ConnectionResetError("the connection has ended")
        self.heard = time.monotonic()
        *lines, self._pending = (self._pending + data).split(b"\n")
        if len(self._pending) > LONGEST:
            raise ValueError("a message without an end")
        messages = [json.loads(line) for line in lines]
        if not all(isinstance(message, dict) for message in messages):
            raise ValueError("no message")
        return messages

    def close(self) -> None:
        """End it."""
        self._connection.close()


class Teller:
    """Tells people and `status` what a node does: in its log, and in its state file.

    Args:
        asked: the options of the command line; `service` and `state` count.
    """

    def __init__(self, asked: argparse.Namespace) -> None:
        self.asked = asked
        self._told = ("", 0.0)
        self._noted = ""

    def tell(self, text: str, again: bool = True) -> None:
        """Write a line into the log; the same wait not too often, unless `again`."""
        said, when = self._told
        now = time.monotonic()
        if again or text != said or now - when >= TELL:
            self._told = (text, now)
            print(f"provision: {self.asked.service}: {text}", file=sys.stderr, flush=True)

    def note(self, phase: str, missing: Sequence[str] = (), why: str = "") -> None:
        """Write into the state file what this node does, and what the missing nodes are called."""
        content = json.dumps({"pid": os.getpid(), "phase": phase, "missing": list(missing), "why": why})
        if content == self._noted:
            return
        self._noted = content
        beside = f"{self.asked.state}.new"
        with open(beside, "w", encoding="utf-8") as file:
            file.write(content)
        os.replace(beside, self.asked.state)


class Rank(Teller):
    """What the head and the other ranks have in common.

    Args:
        asked: the options of the command line.
        command: the program, with its arguments.
    """

    def __init__(self, asked: argparse.Namespace, command: Sequence[str]) -> None:
        super().__init__(asked)
        self.command = command
        self.names: list[str] = asked.nodes.split(",")
        self.program: subprocess.Popen[bytes] | None = None
        self.lines: list[Line] = []
        self.stopping: float | None = None
        self._signals = 0
        self._beaten = 0.0
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._heed)

    # -- steps ---------------------------------------------------------------------------------------------

    def run(self) -> int:
        """Wait for the others, run the program, and return the exit code."""
        try:
            self.assemble()
            while self.program is not None and self.program.poll() is None:
                self.tick(LOOK)
            return self.conclude()
        except Ended as ended:
            self.tell(f"ends: {ended}")
            self.farewell(str(ended))
            self.end_program()
            return 0 if self.stopping is not None else 1

    def _heed(self, number: int, frame: FrameType | None) -> None:
        self._signals += 1

    def assemble(self) -> None:
        """Wait until all ranks are there, and start the program."""
        raise NotImplementedError

    def take(self, line: Line, message: Message) -> None:
        """Take a message."""
        raise NotImplementedError

    def stop(self) -> None:
        """End on purpose; called again, insist on it."""
        raise NotImplementedError

    def obey(self) -> None:
        """Do what a signal asks for, if one has come."""
        if self._signals:
            self._signals = 0
            if self.program is None:
                sys.exit(0)
            self.stop()

    def tick(self, seconds: float) -> None:
        """Listen to the lines for some time, say that this rank is there, and obey who stops it."""
        self.obey()
        now = time.monotonic()
        if now - self._beaten >= BEAT:
            self._beaten = now
            for line in list(self.lines):
                self._with(line, line.say)
        for line in select.select(self.lines, [], [], seconds)[0]:
            for message in self._with(line, line.hear) or []:
                self.take(line, message)
        for line in list(self.lines):
            if time.monotonic() - line.heard > SILENT:
                self.lost(line, f"nothing heard for {SILENT:.0f} s")

    def _with(self, line: Line, act: Any) -> Any:
        try:
            return act()
        except (OSError, ValueError) as error:
            self.lost(line, str(error))
            return None

    def lost(self, line: Line, why: str) -> None:
        """Take note that a line has ended."""
        raise NotImplementedError

    def conclude(self) -> int:
        """Tell the others how the program has ended, and return the exit code."""
        code = self.program.returncode if self.program else 0
        if self.stopping is not None:
            self.farewell(f"{self.me} was stopped")
            return 0
        how = f"signal {-code}" if code < 0 else f"exit {code}"
        self.tell(f"the program of {self.me} has ended ({how})")
        self.farewell(f"the program of {self.me} has ended ({how})")
        return 128 - code if code < 0 else code  # as a shell has it

    def farewell(self, why: str) -> None:
        """Tell the others why this is the end."""
        for line in self.lines:
            try:
                line.say(end=why)
            except OSError:
                pass
            line.close()
        self.lines = []

    # -- the program ---------------------------------------------------------------------------------------

    def start(self, head: str, own: str, interface: str) -> None:
        """Start the program."""
        known = {
            "PROVISION_HEAD": head,
            "VLLM_HOST_IP": own,
            "NCCL_SOCKET_IFNAME": interface,
            "GLOO_SOCKET_IFNAME": interface,
        }
        self.tell(
            f"{len(self.names)} nodes are there; {self.me} starts at {own} ({interface}), the head is {head}"
        )
        self.note(STARTING)
        # What the service sets itself wins; but there is only one head.
        env = {**known, **os.environ, "PROVISION_HEAD": head}
        self.program = subprocess.Popen(self.command, env=env)

    def terminate(self) -> None:
        """Ask the program to end."""
        if self.program is not None and self.program.poll() is None:
            self.program.send_signal(signal.SIGTERM)

    def end_program(self) -> None:
        """End the program of a group that is broken; the supervisor kills what it leaves behind."""
        if self.program is None:
            return
        self.terminate()
        try:
            self.program.wait(GRACE)
        except subprocess.TimeoutExpired:
            self.program.kill()

    # -- telling -------------------------------------------------------------------------------------------

    @property
    def me(self) -> str:
        """Name this rank for people."""
        return self.named(self.asked.rank)

    def named(self, rank: int) -> str:
        """Return a rank for people."""
        return f"{self.names[rank]} (rank {rank})"


class Head(Rank):
    """The first node, to which the others have their lines."""

    def __init__(self, asked: argparse.Namespace, command: Sequence[str]) -> None:
        super().__init__(asked, command)
        self._serving = False
        self._tried = 0.0

    def assemble(self) -> None:
        """Take lines until there is one of each rank, and let all start."""
        try:
            opened = listening(self.asked.port)
        except OSError as error:
            why = os.strerror(error.errno or 0)
            raise Ended(f"cannot listen at port {self.asked.port}: {why}") from None
        with opened as door:
            missing = self._missing()
            while missing:
                names = [self.named(rank) for rank in missing]
                self.note(WAITING, names)
                self.tell(f"waits for {', '.join(names)} at port {self.asked.port}", again=False)
                if select.select([door], [], [], 0)[0]:
                    self._admit(door)
                self.tick(LOOK)
                missing = self._missing()
        # Those that are no rank have said nothing.
        for line in [each for each in self.lines if each.rank < 0]:
            self.lost(line, "has not said who it is")
        own, interface = place(self.asked.interface, self.lines[0].here)
        for line in list(self.lines):
            self._with(line, lambda line=line: line.say(go=own))
        self.start(own, own, interface)

    def _admit(self, door: socket.socket) -> None:
        try:
            self.lines.append(Line(door.accept()[0]))
        except OSError:
            pass  # it has gone again

    def _missing(self) -> list[int]:
        there = {line.rank for line in self.lines}
        return [rank for rank in range(1, len(self.names)) if rank not in there]

    def take(self, line: Line, message: Message) -> None:
        """Take a message of a rank."""
        if "rank" in message:
            self._greet(line, message)
        elif "leave" in message:
            self.tell(f"{self.named(line.rank)} is to stop, so all stop")
            self.stop()
        elif "end" in message:
            raise Ended(str(message["end"]))

    def _greet(self, line: Line, message: Message) -> None:
        rank, no = message["rank"], ""
        if message.get("service") != self.asked.service:
            no = f"port {self.asked.port} is that of service {self.asked.service}"
        elif not isinstance(rank, int) or not 0 < rank < len(self.names):
            no = f"there is no rank {rank}"
        elif message.get("declared") != self.asked.declared:
            no = f"{self.named(rank)} is started with something else than {self.me}: apply to all nodes"
        if no:
            self.tell(f"refuses {line.there}: {no}", again=False)
            line.say(no=no)
            self.lost(line, no)
            return
        for other in [each for each in self.lines if each.rank == rank]:
            self.lost(other, "came again")  # the former line is one that nobody has closed
        line.rank = rank

    def lost(self, line: Line, why: str) -> None:
        """Take note that a line has ended: before the start the rank may come again."""
        line.close()
        if line in self.lines:
            self.lines.remove(line)
        if self.program is not None:
            raise Ended(f"the line to {self.named(line.rank)} has ended: {why}")

    def tick(self, seconds: float) -> None:
        """Listen to the lines, and find out whether the server answers."""
        super().tick(seconds)
        now = time.monotonic()
        if self.program is not None and not self._serving and now - self._tried >= TRY:
            self._tried = now
            if self._answers():
                self._serving = True
                self.note(SERVING)
                for line in list(self.lines):
                    self._with(line, lambda line=line: line.say(serving=True))

    def _answers(self) -> bool:
        if not self.asked.serves:
            return True
        address, _, port = self.asked.serves.rpartition(":")
        try:
            socket.create_connection((address.strip("[]"), int(port)), 1.0).close()
        except OSError:
            return False
        return True

    def stop(self) -> None:
        """Let the program finish its requests; the other ranks are there until it has."""
        self.stopping = self.stopping or time.monotonic()
        self.terminate()


class Member(Rank):
    """A node that is not the head."""

    def assemble(self) -> None:
        """Have a line to the head, and wait for its word."""
        while self.program is None:
            if not self.lines:
                self._call()
            self.tick(LOOK)

    def _call(self) -> None:
        head, why = self.named(0), "another is starting"
        where = f"{self.asked.head}:{self.asked.port}"
        while not self.lines:
            self.obey()
            self.note(WAITING, [self.named(0)], why)
            try:
                line = Line(socket.create_connection((self.asked.head, self.asked.port), 5.0))
                line.say(service=self.asked.service, rank=self.asked.rank, declared=self.asked.declared)
            except OSError as error:
                why = f"{where}: {error.strerror or error}"
                self.tell(f"waits for {head} at {why}", again=False)
                time.sleep(TRY)
                continue
            line.rank = 0
            self.lines.append(line)
        self.note(WAITING)
        self.tell(f"is at {head}, and waits for the word to start", again=False)

    def take(self, line: Line, message: Message) -> None:
        """Take a message of the head."""
        if "no" in message:
            self.tell(f"{self.named(0)} says: {message['no']}", again=False)
            self.note(WAITING, [self.named(0)], str(message["no"]))
            time.sleep(GRACE)
        elif "go" in message:
            own, interface = place(self.asked.interface, line.here)
            self.start(str(message["go"]), own, interface)
        elif "serving" in message:
            self.note(SERVING)
        elif "end" in message:
            raise Ended(str(message["end"]))

    def lost(self, line: Line, why: str) -> None:
        """Take note that the line has ended: before the start it can be had again."""
        line.close()
        self.lines = []
        if self.program is not None and self.stopping is None:
            raise Ended(f"the line to {self.named(0)} has ended: {why}")
        if self.stopping is not None:
            self.terminate()

    def stop(self) -> None:
        """Ask the head to stop all, so that its requests are finished; after that, or some time, end."""
        self.stopping = self.stopping or time.monotonic()
        for line in list(self.lines):
            self._with(line, lambda line=line: line.say(leave=True))

    def tick(self, seconds: float) -> None:
        """Listen to the head; wait for its end no longer than it may take."""
        super().tick(seconds)
        if self.stopping is not None and time.monotonic() - self.stopping > self.asked.drain + GRACE:
            self.terminate()


# -- the network -------------------------------------------------------------------------------------------


def plain(address: str) -> str:
    """Return an IPv4 address as such, which a socket for both may write as one of IPv6."""
    return address[7:] if address.startswith("::ffff:") else address


def listening(port: int) -> socket.socket:
    """Return a socket that takes connections at a port of every address; 0 for a port that is free.

    Raises:
        OSError: that is not possible, as when the port is taken.
    """
    both = socket.has_ipv6 and socket.has_dualstack_ipv6()
    family = socket.AF_INET6 if both else socket.AF_INET
    return socket.create_server(("", port), family=family, dualstack_ipv6=both)


def place(interface: str | None, address: str) -> tuple[str, str]:
    """Return the address at which the other ranks reach this one, and its interface.

    Args:
        interface: the one that was asked for; None: that of `address`.
        address: this end of the line.
    """
    known = addresses()
    if interface is not None:
        if not known.get(interface):
            there = ", ".join(sorted(name for name in known if name != "lo"))
            raise Ended(f"there is no interface {interface} with an address here (there are: {there})")
        return known[interface][0], interface
    for name, found in known.items():
        if address in found:
            return address, name
    raise Ended(f"no interface has {address}; name one (`nodes: {{interface: …}}`)")


def addresses() -> dict[str, list[str]]:
    """Return the addresses of each interface, those of IPv4 first."""
    import fcntl  # not at the top: the module is read, and not run, elsewhere
    import struct

    found: dict[str, list[str]] = {}
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        for _, name in socket.if_nameindex():
            found[name] = []
            try:
                answer = fcntl.ioctl(
                    any_socket, 0x8915, struct.pack("256s", name.encode()[:15])
                )  # SIOCGIFADDR
            except OSError:
                continue
            found[name].append(socket.inet_ntoa(answer[20:24]))
    try:
        with open("/proc/net/if_inet6", encoding="ascii") as file:
            lines = [line.split() for line in file]
    except OSError:
        lines = []
    for digits, _, _, scope, _, name in lines:
        if scope == "00":  # global
            found.setdefault(name, []).append(socket.inet_ntop(socket.AF_INET6, bytes.fromhex(digits)))
    return found


def main(arguments: list[str]) -> NoReturn:
    """Be a rank."""
    options, dashes, command = arguments, "", []
    if "--" in arguments:
        at = arguments.index("--")
        options, dashes, command = arguments[:at], "--", arguments[at + 1 :]
    parser = argparse.ArgumentParser(prog="rank.py")
    parser.add_argument("service")
    parser.add_argument("--rank", type=int, required=True)
    parser.add_argument("--nodes", required=True)
    parser.add_argument("--head", required=True)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--declared", required=True)
    parser.add_argument("--state", required=True)
    parser.add_argument("--interface")
    parser.add_argument("--serves")
    parser.add_argument("--drain", type=float, default=0.0)
    asked = parser.parse_args(options)
    if not dashes or not command:
        parser.error("there is no program")
    sys.exit((Member if asked.rank else Head)(asked, command).run())


if __name__ == "__main__":
    main(sys.argv[1:])
