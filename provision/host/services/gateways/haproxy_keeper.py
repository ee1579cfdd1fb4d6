"""Keeps a server of a gateway out of rotation while somebody needs it, and lets it in again. Also a program.

haproxy_keeper.py SOCKET keep BACKEND/SERVER LEASE KEYS   out until nobody holds LEASE, and it answers
haproxy_keeper.py SOCKET back BACKEND/SERVER              back in rotation

A systemd unit runs the first, and the second when that ends, however it ends. So a server is out of rotation
exactly as long as the unit runs. LEASE is a file: whoever holds its lock still needs the server to be out.
KEYS is the file with the keys that servers ask for, by backend. Python 3.8 and up.
"""

from __future__ import annotations

import fcntl
import http.client
import json
import os
import ssl
import sys
import time
from typing import Any

if __package__:
    from provision.host.services.gateways import haproxy_admin as admin
else:  # a program, with the other one beside it
    sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
    import haproxy_admin as admin  # type: ignore[import-not-found, no-redef]

LOOK = 1.0
"""Seconds between two looks: HAProxy may have been restarted, and then has forgotten what was out."""

AGAIN = 5.0
"""Seconds after which a server that did not answer is asked again."""

PUT_BACK = 60.0
"""Seconds that HAProxy has to take a server back."""

LIMIT = 120.0
"""Seconds that the first answer of a server may take."""

QUESTIONS: list[tuple[str, dict[str, Any]]] = [
    ("/v1/completions", {"prompt": "ping", "max_tokens": 1, "temperature": 0}),
    ("/v1/chat/completions", {"messages": [{"role": "user", "content": "ping"}], "max_tokens": 1}),
    ("/v1/embeddings", {"input": "ping"}),
    ("/score", {"text_1": "ping", "text_2": "pong"}),
    ("/classify", {"input": "ping"}),
    ("/pooling", {"input": "ping"}),
]
"""What servers are asked: the first that one takes must be answered."""

MODELS = "/v1/models"

REFUSED = (400, 404, 405, 415, 422, 501)
"""How a server that works refuses what its model cannot do."""


def keep(path: str, backend: str, name: str, lease: int, keys: str) -> None:
    """Keep a server out of rotation; return when it may come back, or is no server any more.

    Args:
        path: HAProxy's admin socket.
        backend: the service.
        name: the server.
        lease: the open file whose lock the one has who needs it to be out.
        keys: the file with the keys of servers.
    """
    asked = -AGAIN
    while True:
        try:
            now = admin.standing(path, backend, name)
            if now is None:
                return
            if not now.out:
                admin.turn(path, backend, name, admin.DRAIN)
            if _free(lease) and time.monotonic() >= asked + AGAIN:
                asked = time.monotonic()
                # Meanwhile somebody may need it to be out again: then it stays so.
                if now.healthy and answers(now, _key(keys, backend)) and _taken(lease):
                    return
        except admin.AdminError:
            pass  # HAProxy is being started or stopped
        time.sleep(LOOK)


def _taken(lease: int) -> bool:
    """Take the lock of a lease, if nobody has it."""
    try:
        fcntl.flock(lease, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def _free(lease: int) -> bool:
    """Say whether nobody has the lock of a lease."""
    if not _taken(lease):
        return False
    fcntl.flock(lease, fcntl.LOCK_UN)
    return True


def _key(file: str, backend: str) -> str | None:
    """Return the key that the servers of a backend ask for."""
    try:
        with open(file, encoding="utf-8") as lines:
            found = [line.rstrip("\n").split(" ", 1) for line in lines]
    except OSError:
        return None
    return next((key for name, key in (each for each in found if len(each) == 2) if name == backend), None)


def answers(server: admin.Standing, key: str | None) -> bool:
    """Say whether a server really answers what clients ask; one that knows no such question counts, too."""
    models = _ask(server, key, MODELS, None)
    named: dict[str, Any] = {}
    try:
        named = {"model": models[1]["data"][0]["id"]} if models and models[0] == 200 else {}
    except (TypeError, LookupError):
        pass
    for path, question in QUESTIONS:
        said = _ask(server, key, path, {**named, **question})
        if said is None:
            return False
        if said[0] not in REFUSED:
            return said[0] == 200
    return True


def _ask(server: admin.Standing, key: str | None, path: str, data: Any) -> tuple[int, Any] | None:
    """Return status and content of an answer; None when none comes."""
    line: http.client.HTTPConnection
    if server.tls:
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        line = http.client.HTTPSConnection(server.address, server.port, timeout=LIMIT, context=context)
    else:
        line = http.client.HTTPConnection(server.address, server.port, timeout=LIMIT)
    headers = {"Connection": "close", "Content-Type": "application/json"}
    if key is not None:
        headers["Authorization"] = f"Bearer {key}"
    try:
        line.request("GET" if data is None else "POST", path, data and json.dumps(data).encode(), headers)
        reply = line.getresponse()
        text = reply.read(1 << 20)
        try:
            return reply.status, json.loads(text.decode("utf-8"))
        except ValueError:
            return reply.status, None
    except (OSError, http.client.HTTPException):
        return None
    finally:
        line.close()


def back(path: str, backend: str, name: str) -> None:
    """Put a server back, unless somebody has taken it out in another way meanwhile (`maint`).

    Where HAProxy does not run, there is nothing to do: when it starts, all servers are in rotation.
    """
    last = time.monotonic() + PUT_BACK
    while os.path.exists(path) and time.monotonic() < last:
        try:
            now = admin.standing(path, backend, name)
            if now is not None and now.out and not now.maintained:
                admin.turn(path, backend, name, admin.READY)
            return
        except admin.AdminError as error:
            print(error, file=sys.stderr)
        time.sleep(LOOK)


def main(words: list[str]) -> int:
    """Carry out one command of the command line."""
    if words[1:2] not in (["keep"], ["back"]) or len(words) != (5 if words[1] == "keep" else 3):
        print(__doc__, file=sys.stderr)
        return 2
    path, verb, server, *rest = words
    backend, _, name = server.partition("/")
    if verb == "keep":
        keep(path, backend, name, os.open(rest[0], os.O_RDWR | os.O_CLOEXEC), rest[1])
    else:
        back(path, backend, name)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
