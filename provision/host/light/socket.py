"""`socket` without its enumerations."""

from __future__ import annotations

from _socket import AF_UNIX, socket

__all__ = ["AF_UNIX", "socket"]


def __getattr__(name: str) -> object:
    import socket

    return getattr(socket, name)
