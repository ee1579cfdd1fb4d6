"""A load on a gateway, of which each request is accounted for: answered whole, failed, or cut.

``python -m tests.e2e.gateway.load ADDRESS PORT --model NAME`` makes chat streams and short requests
until ^C, or for ``--seconds``, prints what went wrong when it does, and at the end the count.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import re
import signal
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from tests.e2e.gateway.client import CHAT, Client, chat, pieces

PAUSE = 0.05
"""Seconds before the next request of a client whose last one has failed."""


@dataclass(frozen=True)
class Request:
    """One request, and what has become of it.

    Args:
        stream: whether its answer was a stream.
        end: `failed` without an answer of status 200; `cut` when such an answer was not all of it: a stream
            that ends without its last piece and `[DONE]`, or that tells of an error.
        why: what went wrong; empty when it was answered whole.
        seconds: from the first byte sent to the end.
        id: by which the gateway's log knows it; empty when it never answered.
        server: that answered it, when the answer tells; else empty.
    """

    stream: bool
    end: Literal["whole", "failed", "cut"]
    why: str
    seconds: float
    id: str = ""
    server: str = ""

    def __str__(self) -> str:
        kind = "stream" if self.stream else "short request"
        place = f" by {self.server}" if self.server else ""
        return f"{kind}{place} {self.end} after {self.seconds:.1f} s: {self.why}"


@dataclass
class Load:
    """Requests one after another, by several clients at once, until the block ends.

    Args:
        client: whom they ask.
        clients: how many of them ask for streams.
        short: how many of them ask for short answers.
        asked: what a stream is asked for, besides the message.
        asked_short: the same of a short answer.
        think: seconds that a client waits before its next request.
        timeout: seconds without a byte after which a request counts as failed, or cut.
        told: called with each request that is not answered whole.
    """

    client: Client
    clients: int = 8
    asked: Mapping[str, Any] = field(default_factory=lambda: {"n": 4, "gap": 0.05})
    short: int = 0
    asked_short: Mapping[str, Any] = field(default_factory=dict)
    think: float = 0
    timeout: float = 120
    told: Callable[[Request], object] = lambda request: None
    requests: list[Request] = field(default_factory=list)

    def __enter__(self) -> Load:
        """Begin."""
        self._over = threading.Event()
        kinds = [True] * self.clients + [False] * self.short
        self._threads = [threading.Thread(target=self._work, args=(stream,)) for stream in kinds]
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        """End, once every request that has begun has ended."""
        self.stop()
        for thread in self._threads:
            thread.join()

    def stop(self) -> None:
        """Begin no more requests."""
        self._over.set()

    @property
    def failures(self) -> list[str]:
        """What went wrong with each request that failed or was cut."""
        return [str(each) for each in self.requests if each.end != "whole"]

    @property
    def servers(self) -> Counter[str]:
        """How many requests each server has answered whole."""
        return Counter(each.server for each in self.requests if each.end == "whole")

    def attributed(self, log: str) -> list[Request]:
        """Return the requests with the server that the gateway's log names for each."""
        known = {id: server for server, id in re.findall(r"server=(\S+) .*id=(\S+)", log)}
        return [replace(each, server=known.get(each.id, each.server)) for each in self.requests]

    def _work(self, stream: bool) -> None:
        while not self._over.is_set():
            done = self._ask(stream)
            self.requests.append(done)
            if done.end != "whole":
                self.told(done)
                time.sleep(PAUSE)
            self._over.wait(self.think)

    def _ask(self, stream: bool) -> Request:
        asked = chat(**{**self.asked, "stream": True} if stream else self.asked_short)
        began = time.monotonic()
        answer, got, why = None, b"", ""
        try:
            with self.client.asking("POST", CHAT, asked, timeout=self.timeout) as answer:
                while piece := answer.read1(65536):
                    got += piece
        except http.client.IncompleteRead as error:
            got, why = got + error.partial, "the connection ended"
        except (OSError, http.client.HTTPException) as error:
            why = repr(error)
        seconds = time.monotonic() - began
        if answer is None:
            return Request(stream, "failed", why, seconds)
        id = answer.headers.get("X-Request-Id") or ""
        if answer.status != 200:
            return Request(stream, "failed", f"{answer.status} {got[:200]!r} {why}".rstrip(), seconds, id)
        told = pieces(got) if stream else []
        why = why or (_missing(got, told) if stream else _unreadable(got))
        server = str(told[0].get("server") or "") if told else ""
        return Request(stream, "cut" if why else "whole", why, seconds, id, server)


def _missing(got: bytes, told: list[dict[str, Any]]) -> str:
    """Return what a stream lacks; empty when it is whole."""
    errors = [piece["error"] for piece in told if "error" in piece]
    if errors:
        return f"it tells of an error: {errors[0]}"
    finished = [choice.get("finish_reason") for piece in told for choice in piece.get("choices", [])]
    if not {"stop", "length"} & set(finished):
        return f"no last piece after {len(told)} pieces, but {got[-80:]!r}"
    return "" if got.rstrip().endswith(b"data: [DONE]") else f"no [DONE], but {got[-80:]!r}"


def _unreadable(got: bytes) -> str:
    """Return what is wrong with a body that should be JSON; empty when nothing is."""
    try:
        json.loads(got)
    except ValueError as error:
        return f"{error}: {got[-80:]!r}"
    return ""


def summary(requests: list[Request]) -> str:
    """Return the count in one line, and one line for each server that is known."""
    lines = [_count("in all", requests)]
    for server in sorted({each.server for each in requests} - {""}):
        lines.append(_count(server, [each for each in requests if each.server == server]))
    return "\n".join(lines)


def _count(name: str, requests: list[Request]) -> str:
    streams = sum(each.stream for each in requests)
    ends = Counter(each.end for each in requests)
    longest = max((each.seconds for each in requests), default=0.0)
    return (
        f"{name}: {streams} streams, {len(requests) - streams} short requests, {ends['failed']} failed, "
        f"{ends['cut']} cut, longest {longest:.1f} s"
    )


def main(arguments: list[str] | None = None) -> int:
    """Make a load from the command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.e2e.gateway.load", description=__doc__)
    parser.add_argument("address")
    parser.add_argument("port", type=int)
    parser.add_argument("--tls", action="store_true", help="speak TLS, without verifying the certificate")
    parser.add_argument("--key", metavar="VARIABLE", help="the environment variable that holds the key")
    parser.add_argument("--model", default="chat", help="default: chat")
    parser.add_argument("--tokens", type=int, default=200, help="length of a stream (default: 200)")
    parser.add_argument("--streams", type=int, default=4, help="how many at once (default: 4)")
    parser.add_argument("--short", type=int, default=2, help="short requests at once (default: 2)")
    parser.add_argument("--think", type=float, default=0, help="seconds before the next request of a client")
    parser.add_argument("--seconds", type=float, help="end after so long")
    options = parser.parse_args(arguments)
    over = threading.Event()
    for each in (signal.SIGINT, signal.SIGTERM):
        signal.signal(each, lambda *_: over.set())
    began = time.monotonic()
    load = Load(
        Client(options.address, options.port, os.environ[options.key] if options.key else None, options.tls),
        options.streams,
        {"model": options.model, "max_tokens": options.tokens, "ignore_eos": True},
        options.short,
        {"model": options.model, "max_tokens": 8},
        options.think,
        told=lambda request: print(f"{time.monotonic() - began:6.1f} s  {request}", flush=True),
    )
    with load:
        over.wait(options.seconds)
    print(summary(load.requests))
    return 1 if load.failures else 0


if __name__ == "__main__":
    sys.exit(main())
