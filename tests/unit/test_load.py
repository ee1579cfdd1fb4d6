"""The load that tests put on a gateway counts what did not arrive whole."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.e2e.gateway.client import Client
from tests.e2e.gateway.load import Load, summary

_STREAM = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nX-Request-Id: a1\r\n\r\n"
_PLAIN = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n"


def _chunk(text: str) -> str:
    return f"{len(text):x}\r\n{text}\r\n"


def _piece(reason: str) -> str:
    return _chunk(f'data: {{"choices": [{{"finish_reason": {reason}}}], "server": "one"}}\n\n')


_END = _chunk("data: [DONE]\n\n") + "0\r\n\r\n"
_ERROR = _chunk('data: {"error": {"message": "shut down"}}\n\n')


@contextmanager
def _server(answer: str) -> Iterator[int]:
    """Answer each connection with this, and close it."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            while True:
                try:
                    line, _ = listener.accept()
                except OSError:
                    return
                with line:
                    line.recv(65536)
                    line.sendall(answer.encode())

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield listener.getsockname()[1]
        listener.shutdown(socket.SHUT_RDWR)
        thread.join()


def _one(answer: str, stream: bool = True) -> Load:
    with _server(answer) as port:
        load = Load(Client("127.0.0.1", port), clients=int(stream), short=int(not stream), timeout=10)
        with load:
            while not load.requests:
                threading.Event().wait(0.01)
            load.stop()
    return load


def test_a_whole_stream_is_whole() -> None:
    load = _one(_STREAM + _piece("null") + _piece('"stop"') + _END)
    assert load.failures == []
    assert set(load.servers) == {"one"}
    (first, *_) = load.attributed("service=chat server=two first_ms=1 end=---- id=a1\n")
    assert (first.id, first.server) == ("a1", "two")


@pytest.mark.parametrize(
    "answer",
    [
        _STREAM + _piece("null"),
        _STREAM + _piece("null") + "0\r\n\r\n",
        _STREAM + _piece("null") + _END,
        _STREAM + _piece('"abort"') + _END,
        _STREAM + _piece('"stop"') + "0\r\n\r\n",
        _STREAM + _piece("null") + _ERROR + _END,
        _STREAM,
    ],
    ids=["closed", "ended", "no reason", "aborted", "no DONE", "error", "nothing"],
)
def test_a_stream_that_is_not_whole_is_cut(answer: str) -> None:
    (first, *_) = _one(answer).requests
    assert first.end == "cut", first
    assert first.why


@pytest.mark.parametrize("answer", ["", "HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n"])
def test_what_has_no_good_status_has_failed(answer: str) -> None:
    (first, *_) = _one(answer).requests
    assert first.end == "failed", first


def test_a_short_answer_has_to_be_all_of_it() -> None:
    assert _one(_PLAIN + "{}", stream=False).failures == []
    cut = _one(_PLAIN + "{", stream=False)
    assert cut.requests[0].end == "cut"
    assert "0 streams" in summary(cut.requests)
    assert "0 failed" in summary(cut.requests)
