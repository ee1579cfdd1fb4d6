"""Whether this host has the address on which a service is to listen: a server may notice it late."""

from __future__ import annotations

import errno
import socket

HINT = "take an address of this host (`ip address` lists them), or 0.0.0.0 for all"


def absent(address: str | None) -> bool:
    """Whether nobody can listen on an address here; False for a name, which the server looks up itself."""
    if address is None:
        return False
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    try:
        socket.inet_pton(family, address)
        with socket.socket(family, socket.SOCK_STREAM) as tried:
            tried.bind((address, 0))  # any port: who holds which is another question
    except OSError as error:
        return error.errno == errno.EADDRNOTAVAIL
    return False
