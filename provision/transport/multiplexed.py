"""A command over a connection that ssh keeps open, without a further ssh.

An ssh that finds a kept connection only hands its command, and its own standard input, output and error, to
the ssh that keeps it, and waits. Its start takes 5 ms of CPU for each host, as much as all else that is done
here for a converged one. The protocol is that of PROTOCOL.mux in OpenSSH's sources.
"""

from __future__ import annotations

import os
import struct

# `socket` makes enumerations of hundreds of constants, which takes longer than all that is done here.
from _socket import AF_UNIX, SCM_RIGHTS, SOL_SOCKET, socket
from typing import NamedTuple

from provision.transport.loop import READ, Loop
from provision.transport.streams import Ends, OnBytes, Streams, pipes

_VERSION = 4
_HELLO = 0x00000001
_NEW_SESSION = 0x10000002
_DENIED = 0x80000002
_FAILURE = 0x80000003
_EXIT = 0x80000004

_REQUEST = 1
_TERMINAL, _X11, _AGENT, _SUBSYSTEM = 0, 0, 1, 0
"""What the session may have. The agent is forwarded only if the configuration of the connection says so."""
_NO_ESCAPE = 0xFFFFFFFF

_FAILED = 255
"""How ssh ends when the fault is its own."""


class Begun(NamedTuple):
    """A command that a kept connection has been told to carry out; nobody attends to it yet.

    Args:
        socket: to the ssh that keeps the connection.
        near: our ends of its standard input, output and error.
    """

    socket: socket
    near: Ends


def begin(path: str, command: str) -> Begun:
    """Let a kept connection carry out a command on its host.

    Args:
        path: the socket of the ssh that keeps the connection.
        command: for the login shell on the host.

    Raises:
        OSError: nobody listens at the socket.
    """
    master = socket(AF_UNIX)
    master.setblocking(False)
    try:
        master.connect(path)
        with pipes() as (far, near):
            master.sendall(_packet(struct.pack(">II", _HELLO, _VERSION)) + _new_session(command))
            for end in far:
                master.sendmsg([b"\0"], [(SOL_SOCKET, SCM_RIGHTS, struct.pack("i", end))])
    except BaseException:
        master.close()
        raise
    return Begun(master, near)


class Multiplexed(Streams):
    """A command that a kept connection carries out on its host.

    Args:
        loop: what calls it.
        begun: the command.
        on_output: called with each piece of its standard output.
        on_error: called with each piece of its standard error.
    """

    def __init__(self, loop: Loop, begun: Begun, on_output: OnBytes, on_error: OnBytes) -> None:
        super().__init__(loop, on_output, on_error)
        self._on_error = on_error
        self._answers = bytearray()
        self._code = _FAILED
        self._socket = begun.socket
        self._attend(begun.near)
        loop.watch(self._socket.fileno(), READ, self._answered)

    def end(self) -> None:
        """Leave the command alone: without its standard streams it ends."""
        if not self._exited:
            self._leave()

    def _answered(self) -> None:
        try:
            data = self._socket.recv(4096)
        except OSError:
            data = b""
        self._answers += data
        while len(self._answers) >= 4:
            (size,) = struct.unpack_from(">I", self._answers)
            if len(self._answers) < 4 + size:
                break
            self._take(bytes(self._answers[4 : 4 + size]))
            del self._answers[: 4 + size]
        if not data:
            self._leave()

    def _take(self, answer: bytes) -> None:
        (kind,) = struct.unpack_from(">I", answer)
        if kind == _EXIT:
            _, _, self._code = struct.unpack(">III", answer)
        elif kind in (_DENIED, _FAILURE):
            self._on_error(answer[12:])

    def _leave(self) -> None:
        self._loop.forget(self._socket.fileno())
        self._socket.close()
        self._finish(self._code)


def _new_session(command: str) -> bytes:
    """Ask for a command; the connection takes of our environment what its configuration says."""
    words = _TERMINAL, _X11, _AGENT, _SUBSYSTEM, _NO_ESCAPE
    body = struct.pack(">II", _NEW_SESSION, _REQUEST) + _text(b"") + struct.pack(">5I", *words)
    texts = [b"", os.fsencode(command), *(name + b"=" + value for name, value in os.environb.items())]
    return _packet(body + b"".join(map(_text, texts)))


def _packet(body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + body


def _text(value: bytes) -> bytes:
    return struct.pack(">I", len(value)) + value
