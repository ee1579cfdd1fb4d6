"""`socket` without its enumerations."""

from __future__ import annotations

from _socket import AF_UNIX, socket, timeout

__all__ = ["AF_UNIX", "socket", "timeout"]


def __getattr__(name: str) -> object:
    import socket

    return getattr(socket, name)
