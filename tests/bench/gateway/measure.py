"""The same requests by two ways in turns, and what each took."""

from __future__ import annotations

import http.client
import json
import statistics
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any

from tests.e2e.gateway.client import CHAT, Client, chat, pieces

WAYS = ("bare", "gateway")
"""Directly to the server, and through the gateway."""

_Ask = Callable[[], object]


@dataclass
class Taken:
    """What was measured by both ways: seconds of each request, or units a second of each round.

    Args:
        server: who answered.
        what: was asked for.
        unit: of the values.
        values: by way, in the order in which they came.
    """

    server: str
    what: str
    unit: str
    values: dict[str, list[float]] = field(default_factory=lambda: {way: [] for way in WAYS})

    def median(self, way: str) -> float:
        """Return the median of all."""
        return statistics.median(self.values[way])

    @property
    def ratio(self) -> float:
        """The gateway's median beside the bare server's."""
        return self.median("gateway") / self.median("bare")

    @property
    def added(self) -> float:
        """By how much the gateway's median is more."""
        return self.median("gateway") - self.median("bare")


@dataclass
class Pair:
    """A server and the gateway in front of it.

    Args:
        name: of the server, and of its model.
        clients: by way.
        length: tokens of a stream.
        streams: how many of them at once.
        gap: seconds between two tokens, which the stand-in waits; vLLM takes the time that it takes.
    """

    name: str
    clients: Mapping[str, Client]
    length: int
    streams: int
    gap: float = 0.0

    def measure(self, rounds: int, requests: int) -> Iterator[Taken]:
        """Measure in rounds that take turns, and yield all when it is complete."""
        new = Taken(self.name, "short chat, each on a new connection", "ms")
        kept = Taken(self.name, "short chat, on a kept connection", "ms")
        streams = Taken(self.name, f"{self.streams} streams at once of {self.length} tokens", "tokens/s")
        for number in range(rounds):
            turn = WAYS if number % 2 else WAYS[::-1]
            self._alternate(new, requests, {way: self._once(self.clients[way]) for way in turn})
            lines = {way: _Line(self.clients[way]) for way in turn}
            self._alternate(kept, requests, {way: self._on(lines[way]) for way in turn})
            for line in lines.values():
                line.connection.close()
            for way in turn:
                streams.values[way].append(self.rate(way))
        yield from (new, kept, streams)

    def _alternate(self, taken: Taken, requests: int, asks: Mapping[str, _Ask]) -> None:
        for number in range(requests + 5):
            for way, ask in asks.items():
                began = time.perf_counter()
                ask()
                if number >= 5:  # the first ones warm up
                    taken.values[way].append((time.perf_counter() - began) * 1000)

    def _once(self, client: Client) -> _Ask:
        def ask() -> None:
            answer = client.ask("POST", CHAT, self._short())
            assert answer.status == 200, answer

        return ask

    def _on(self, line: _Line) -> _Ask:
        return lambda: line.ask(self._short())

    def _short(self) -> dict[str, Any]:
        return chat(self.name, max_tokens=8, temperature=0)

    def rate(self, way: str) -> float:
        """Return the tokens a second of some streams at once."""
        client = self.clients[way]
        began = time.perf_counter()
        with ThreadPoolExecutor(self.streams) as pool:
            tokens = sum(pool.map(self._stream, [client] * self.streams))
        return tokens / (time.perf_counter() - began)

    def _stream(self, client: Client) -> int:
        asked = chat(
            self.name,
            stream=True,
            stream_options={"include_usage": True},
            max_tokens=self.length,
            ignore_eos=True,
            gap=self.gap,
        )
        got = []
        with client.asking("POST", CHAT, asked, timeout=300) as answer:
            assert answer.status == 200, answer.read()
            while some := answer.read1(65536):
                got.append(some)
        body = b"".join(got)
        assert body.rstrip().endswith(b"[DONE]"), body[-200:]
        tokens = (pieces(body)[-1].get("usage") or {}).get("completion_tokens")
        assert tokens == self.length, (tokens, self.length)
        return self.length


class _Line:
    """A connection that is kept."""

    def __init__(self, client: Client) -> None:
        self.connection = http.client.HTTPConnection(client.address, client.port, timeout=60)
        self.headers = {"Content-Type": "application/json"}
        if client.key is not None:
            self.headers["Authorization"] = f"Bearer {client.key}"

    def ask(self, body: Mapping[str, Any]) -> None:
        self.connection.request("POST", CHAT, json.dumps(body).encode(), self.headers)
        with closing(self.connection.getresponse()) as answer:
            got = answer.read()
            assert answer.status == 200, got


def markdown(all: Sequence[Taken]) -> str:
    """Return a table, with what is wanted of each row."""
    lines = ["| server | | bare | through the gateway | | wanted |", "|---|---|---:|---:|---:|---:|"]
    for each in all:
        cells = [
            f"{each.median(way):.2f} ms" if each.unit == "ms" else f"{each.median(way):,.0f}" for way in WAYS
        ]
        told, wanted = (
            (f"{each.added:+.2f} ms", "at most 1 ms more")
            if each.unit == "ms"
            else (f"{each.ratio:.3f} ×", "at least 0.97 ×")
        )
        what = each.what if each.unit == "ms" else f"{each.what}, {each.unit}"
        lines.append("| " + " | ".join([each.server, what, *cells, told, wanted]) + " |")
    return "\n".join(lines) + "\n"
