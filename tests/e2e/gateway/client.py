"""A client of a gateway, or of the server behind it."""

from __future__ import annotations

import http.client
import json
import socket
import ssl
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, NamedTuple


class Reply(NamedTuple):
    """What a gateway has answered."""

    status: int
    headers: dict[str, str]
    body: bytes
    first: float
    """Seconds until the first bytes of the body."""

    @property
    def json(self) -> Any:
        """The body as plain data."""
        return json.loads(self.body)

    @property
    def pieces(self) -> list[dict[str, Any]]:
        """The pieces of a stream, which must have come to its end."""
        assert self.body.rstrip().endswith(b"data: [DONE]"), self
        return pieces(self.body)


def pieces(body: bytes) -> list[dict[str, Any]]:
    """Return the pieces of a stream of which at least these bytes have come; not its `[DONE]`."""
    events = body.decode(errors="replace").split("\n\n")[:-1]
    data = [event.removeprefix("data: ") for event in events if event.startswith("data: ")]
    return [json.loads(piece) for piece in data if piece != "[DONE]"]


@dataclass
class Client:
    """Speaks to one gateway, with one key."""

    address: str
    port: int
    key: str | None = None
    tls: bool = False

    @contextmanager
    def asking(
        self,
        method: str,
        path: str,
        body: Any = None,
        headers: Mapping[str, str] | None = None,
        key: str | None = None,
        timeout: float = 60,
    ) -> Iterator[http.client.HTTPResponse]:
        """Make one request on a connection of its own; `body` is plain data, or bytes as they are.

        What is yielded has the status and the headers; its body has still to be read.
        """
        sent = dict(headers or {})
        bearer = key if key is not None else self.key
        if bearer is not None:
            sent.setdefault("Authorization", f"Bearer {bearer}")
        if body is not None and not isinstance(body, bytes):
            sent.setdefault("Content-Type", "application/json")
        data = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
        connection: http.client.HTTPConnection
        if self.tls:
            context = ssl.create_default_context()
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
            connection = http.client.HTTPSConnection(
                self.address, self.port, timeout=timeout, context=context
            )
        else:
            connection = http.client.HTTPConnection(self.address, self.port, timeout=timeout)
        try:
            connection.request(method, path, data, sent)
            yield connection.getresponse()
        finally:
            connection.close()

    def ask(
        self,
        method: str,
        path: str,
        body: Any = None,
        headers: Mapping[str, str] | None = None,
        key: str | None = None,
        timeout: float = 60,
    ) -> Reply:
        """Make one request, and read the answer to its end."""
        began = time.monotonic()
        with self.asking(method, path, body, headers, key, timeout) as answer:
            start = answer.read(1)
            first = time.monotonic() - began
            named = {name.lower(): value for name, value in answer.headers.items()}
            return Reply(answer.status, named, start + answer.read(), first)

    def chat(self, model: str | None = "chat", key: str | None = None, **asked: Any) -> Reply:
        """Have a chat answered."""
        return self.ask("POST", CHAT, chat(model, **asked), key=key)

    def raw(self, request: bytes, timeout: float = 60) -> bytes:
        """Send bytes as they are, and return what comes back until the gateway closes."""
        with socket.create_connection((self.address, self.port), timeout=timeout) as line:
            line.sendall(request)
            got = b""
            while piece := line.recv(65536):
                got += piece
            return got


CHAT = "/v1/chat/completions"


def chat(model: str | None = "chat", **asked: Any) -> dict[str, Any]:
    """Return the body of a chat request."""
    named = {} if model is None else {"model": model}
    return {"messages": [{"role": "user", "content": "ping"}], **asked, **named}
