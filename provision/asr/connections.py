"""Protection from slow clients, and from those that are answered before they have sent everything: an ASGI
layer, and a sweep of idle connections.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import time
from collections.abc import Callable, Iterable
from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

_LINGER_SECONDS = 3.0
_LINGER_BYTES = 64 * 2**20
_SWEEP_SECONDS = 2.0


@dataclasses.dataclass
class LingeringClose:
    """Answers that come before the request's body has: the answer is sent at once, and the
    connection is closed a little later.

    Closing at once with unread bytes makes the kernel reset the connection, and the client never sees the
    answer. While ``closing()`` is true (the service drains), every connection is closed after its answer.
    """

    app: ASGIApp
    closing: Callable[[], bool]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one ASGI connection."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        headers = dict(scope["headers"])
        body_left = b"transfer-encoding" in headers or headers.get(b"content-length", b"0") != b"0"

        async def receive_noting() -> Message:
            nonlocal body_left
            message = await receive()
            if message["type"] == "http.disconnect" or not message.get("more_body", False):
                body_left = False
            return message

        async def send_lingering(message: Message) -> None:
            if message["type"] == "http.response.start" and (body_left or self.closing()):
                message["headers"] = [*message.get("headers", []), (b"connection", b"close")]
            if message["type"] != "http.response.body" or message.get("more_body", False) or not body_left:
                await send(message)
                return
            await send({**message, "more_body": True})
            with contextlib.suppress(asyncio.TimeoutError):
                await asyncio.wait_for(_discard(receive), _LINGER_SECONDS)
            await send({"type": "http.response.body", "body": b""})

        await self.app(scope, receive_noting, send_lingering)


async def _discard(receive: Receive) -> None:
    seen = 0
    while seen < _LINGER_BYTES:
        message = await receive()
        seen += len(message.get("body", b""))
        if message["type"] == "http.disconnect" or not message.get("more_body", False):
            return


def unread(connections: Iterable[Any]) -> bool:
    """Whether one of uvicorn's protocol objects has not read the head of its first request yet."""
    return any(getattr(protocol, "cycle", None) is None for protocol in connections)


async def sweep_idle(connections: set[Any], first_request: float, keep_alive: float) -> None:
    """Close connections that send no complete request head, until cancelled; uvicorn would wait for them
    without limit.

    ``connections`` are uvicorn's protocol objects. A new connection has ``first_request`` seconds, one that
    has been answered ``keep_alive`` and a little.
    """
    idle_since: dict[Any, tuple[int, float]] = {}  # protocol: (its last request, since when it has been idle)
    while True:
        await asyncio.sleep(min(_SWEEP_SECONDS, first_request / 2))
        now = time.monotonic()
        idle: dict[Any, tuple[int, float]] = {}
        for protocol in connections:
            cycle = getattr(protocol, "cycle", None)
            if cycle is not None and not cycle.response_complete:
                continue
            last, since = idle_since.get(protocol, (id(cycle), now))
            idle[protocol] = (last, since) if last == id(cycle) else (id(cycle), now)
            if now - idle[protocol][1] > (first_request if cycle is None else keep_alive + _SWEEP_SECONDS):
                protocol.transport.close()
        idle_since = idle
