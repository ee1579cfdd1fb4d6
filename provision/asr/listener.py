"""The listening socket: opened before anything else, closed without losing connections that have begun."""

from __future__ import annotations

import contextlib
import ctypes
import select
import socket
import struct

from .settings import SettingsError

BACKLOG = 2048
"""Connections that the kernel keeps until they are accepted."""

_SO_ATTACH_FILTER = 26  # Linux; the socket module does not name it
# Classic BPF over the TCP header: drop a segment with the SYN flag, keep any other.
_NO_SYN = b"".join(
    struct.pack("=HBBI", *instruction)
    for instruction in (
        (0x30, 0, 0, 13),  # A = flags
        (0x45, 0, 1, 0x02),  # A & SYN ?
        (0x06, 0, 0, 0),  # drop
        (0x06, 0, 0, 0xFFFFFFFF),  # keep
    )
)


def listen(host: str, port: int) -> socket.socket:
    """A listening TCP socket; port 0 takes a free one. Raises SettingsError."""
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        return socket.create_server((host, port), family=family, backlog=BACKLOG)
    except OSError as error:
        raise SettingsError(f"cannot listen on {host}:{port}: {error.strerror}") from None


def turn_away(listener: socket.socket) -> None:
    """Accept no new connection, but let handshakes that have begun complete.

    Closing a listener resets each connection that is not accepted yet, and its client cannot know whether its
    request was worked on. When SYNs are dropped first, the listener can be emptied before it is closed; a
    client whose SYN was dropped tries again after a second, as TCP does, and is refused. Where the kernel has
    no such filter, nothing happens.
    """
    program = ctypes.create_string_buffer(_NO_SYN, len(_NO_SYN))
    count = len(_NO_SYN) // 8
    with contextlib.suppress(OSError):
        listener.setsockopt(
            socket.SOL_SOCKET, _SO_ATTACH_FILTER, struct.pack("@HP", count, ctypes.addressof(program))
        )


def has_waiting(listener: socket.socket) -> bool:
    """Whether a connection waits to be accepted."""
    poll = select.poll()
    poll.register(listener, select.POLLIN)
    return bool(poll.poll(0))
