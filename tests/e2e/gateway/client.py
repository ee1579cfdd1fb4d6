"""A client of a gateway, and a load of streams of which each has to arrive whole."""

from __future__ import annotations

import http.client
import json
import socket
import ssl
import threading
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
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
        lines = [line[6:] for line in self.body.decode().splitlines() if line.startswith("data: ")]
        assert lines, self
        assert lines[-1] == "[DONE]", self
        return [json.loads(line) for line in lines[:-1]]


@dataclass
class Client:
    """Speaks to one gateway, with one key."""

    address: str
    port: int
    key: str | None = None
    tls: bool = False

    def ask(
        self,
        method: str,
        path: str,
        body: Any = None,
        headers: Mapping[str, str] | None = None,
        key: str | None = None,
        timeout: float = 60,
    ) -> Reply:
        """Make one request on a connection of its own; `body` is plain data, or bytes as they are."""
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
        began = time.monotonic()
        try:
            connection.request(method, path, data, sent)
            answer = connection.getresponse()
            start = answer.read(1)
            first = time.monotonic() - began
            return Reply(
                answer.status,
                {name.lower(): value for name, value in answer.headers.items()},
                start + answer.read(),
                first,
            )
        finally:
            connection.close()

    def chat(self, model: str | None = "chat", key: str | None = None, **asked: Any) -> Reply:
        """Have a chat answered."""
        body = {"messages": [{"role": "user", "content": "ping"}], **asked}
        if model is not None:
            body["model"] = model
        return self.ask("POST", "/v1/chat/completions", body, key=key)

    def raw(self, request: bytes, timeout: float = 60) -> bytes:
        """Send bytes as they are, and return what comes back until the gateway closes."""
        with socket.create_connection((self.address, self.port), timeout=timeout) as line:
            line.sendall(request)
            got = b""
            while piece := line.recv(65536):
                got += piece
            return got


@dataclass
class Load:
    """Streams without a pause, by several clients at once, until the block ends."""

    client: Client
    clients: int = 8
    asked: Mapping[str, Any] = field(default_factory=lambda: {"n": 4, "gap": 0.05})
    failures: list[str] = field(default_factory=list)
    servers: Counter[str] = field(default_factory=Counter)

    def __enter__(self) -> Load:
        """Begin."""
        self._over = threading.Event()
        self._threads = [threading.Thread(target=self._work) for _ in range(self.clients)]
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        """End, once every stream that has begun has ended."""
        self.stop()
        for thread in self._threads:
            thread.join()

    def stop(self) -> None:
        """Begin no more streams."""
        self._over.set()

    def _work(self) -> None:
        while not self._over.is_set():
            try:
                reply = self.client.chat(stream=True, **self.asked)
                if reply.status != 200:
                    self.failures.append(f"{reply.status} {reply.body[:200]!r}")
                    time.sleep(0.05)
                    continue
                pieces = reply.pieces
                assert len(pieces) == self.asked["n"], pieces
                self.servers[pieces[0]["server"]] += 1
            except Exception as error:
                self.failures.append(repr(error))
                time.sleep(0.05)
