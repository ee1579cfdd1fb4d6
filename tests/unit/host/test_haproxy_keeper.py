"""What keeps a server out of rotation, and what it takes to be let in again."""

from __future__ import annotations

import fcntl
import http.server
import json
import os
import re
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from provision.host.services.gateways import haproxy_admin as admin
from provision.host.services.gateways import haproxy_keeper as keeper
from tests.unit.host.admin_socket import AdminSocket

NAMES = "be_id be_name srv_id srv_name srv_addr srv_op_state srv_admin_state srv_port srv_use_ssl"

MAINT, DRAIN = 0x01, 0x08


class HAProxy(AdminSocket):
    """Has one server, qwen/h1, whose state the admin socket tells and changes."""

    def __init__(self, path: Path, port: int) -> None:
        self.port = port
        self.flags, self.healthy, self.known = 0, True, True
        self.set: list[str] = []
        super().__init__(path)

    def answer(self, command: str) -> str:
        if command == "show servers state":
            row = f"3 qwen 1 h1 127.0.0.1 {2 if self.healthy else 0} {self.flags} {self.port} 0\n"
            return f"1\n# {NAMES}\n{row if self.known else ''}\n"
        found = re.fullmatch(r"set server qwen/h1 state (\w+)", command)
        assert found, command
        self.set.append(found[1])
        self.flags = {"drain": DRAIN, "ready": 0}[found[1]]
        return "\n"


class Model(http.server.BaseHTTPRequestHandler):
    """A server that answers what `replies` says, by path, and 404 otherwise."""

    replies: dict[str, int]
    heard: list[tuple[str, str | None, Any]]

    def log_message(self, *parts: object) -> None:
        pass

    def do_GET(self) -> None:
        self._reply(None)

    def do_POST(self) -> None:
        self._reply(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))

    def _reply(self, asked: Any) -> None:
        self.heard.append((self.path, self.headers["Authorization"], asked))
        body = json.dumps({"data": [{"id": "org/name"}]}).encode()
        self.send_response(self.replies.get(self.path, 404))
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


@pytest.fixture
def model() -> Iterator[Any]:
    kind = type("Server", (Model,), {"replies": {"/v1/models": 200, "/v1/completions": 200}, "heard": []})
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), kind)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


@pytest.fixture
def haproxy(tmp_path: Path, model: Any) -> Iterator[HAProxy]:
    served = HAProxy(tmp_path / "admin.sock", model.server_address[1])
    yield served
    served.close()


@pytest.fixture
def fast(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keeper, "LOOK", 0.02)
    monkeypatch.setattr(keeper, "AGAIN", 0.05)


def standing(port: int) -> admin.Standing:
    return admin.Standing(True, False, True, "127.0.0.1", port, False)


def test_it_answers_when_the_first_question_that_it_takes_is_answered(model: Any) -> None:
    kind, at = model.RequestHandlerClass, standing(model.server_address[1])
    assert keeper.answers(at, "key")
    assert [path for path, _, _ in kind.heard] == ["/v1/models", "/v1/completions"]
    assert {bearer for _, bearer, _ in kind.heard} == {"Bearer key"}
    assert kind.heard[1][2]["model"] == "org/name"
    kind.replies = {"/v1/embeddings": 200}
    assert keeper.answers(at, None)
    assert kind.heard[-1] == ("/v1/embeddings", None, {"input": "ping"})


@pytest.mark.parametrize("status", [401, 403, 429, 500, 503])
def test_it_does_not_answer(model: Any, status: int) -> None:
    model.RequestHandlerClass.replies = {"/v1/completions": status}
    assert not keeper.answers(standing(model.server_address[1]), None)


def test_one_that_takes_no_question_that_is_known_answers_in_its_own_way(model: Any) -> None:
    model.RequestHandlerClass.replies = {}
    assert keeper.answers(standing(model.server_address[1]), None)


def test_nobody_there_is_no_answer() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        assert not keeper.answers(standing(free.getsockname()[1]), None)


class Kept:
    """A keeper that runs, and the lease that this test holds."""

    def __init__(self, haproxy: HAProxy, folder: Path) -> None:
        self._lease = os.open(folder / "lease", os.O_RDWR | os.O_CREAT)
        fcntl.flock(self._lease, fcntl.LOCK_EX)
        (folder / "keys").write_text("other x\nqwen the key\n")
        file = os.open(folder / "lease", os.O_RDWR)
        asked = (haproxy.path, "qwen", "h1", file, str(folder / "keys"))
        self._thread = threading.Thread(target=keeper.keep, args=asked, daemon=True)
        self._thread.start()

    def release(self) -> None:
        os.close(self._lease)

    def ends(self) -> bool:
        self._thread.join(10)
        return not self._thread.is_alive()

    def goes_on(self) -> bool:
        self._thread.join(0.4)
        return self._thread.is_alive()


def until(true: Callable[[], bool]) -> None:
    last = time.monotonic() + 10
    while not true():
        assert time.monotonic() < last
        time.sleep(0.01)


@pytest.mark.usefixtures("fast")
def test_a_server_is_kept_out_while_somebody_needs_it_and_until_it_answers(
    haproxy: HAProxy, model: Any, tmp_path: Path
) -> None:
    kind = model.RequestHandlerClass
    kept = Kept(haproxy, tmp_path)
    until(lambda: haproxy.flags == DRAIN)
    haproxy.flags = 0  # HAProxy was restarted
    until(lambda: haproxy.flags == DRAIN)
    assert kept.goes_on()
    assert kind.heard == []
    kind.replies, haproxy.healthy = {"/v1/completions": 500}, False
    kept.release()
    assert kept.goes_on()
    assert kind.heard == []  # HAProxy says that it is down
    haproxy.healthy = True
    until(lambda: bool(kind.heard))
    assert kept.goes_on()
    kind.replies = {"/v1/completions": 200}
    assert kept.ends()
    assert {bearer for _, bearer, _ in kind.heard} == {"Bearer the key"}
    assert haproxy.flags == DRAIN  # the end of the unit puts it back


@pytest.mark.usefixtures("fast")
def test_a_server_that_has_left_the_configuration_needs_no_keeper(haproxy: HAProxy, tmp_path: Path) -> None:
    kept = Kept(haproxy, tmp_path)
    until(lambda: haproxy.flags == DRAIN)
    haproxy.known = False
    assert kept.ends()


@pytest.mark.parametrize(("flags", "set_"), [(DRAIN, ["ready"]), (0, []), (MAINT, []), (MAINT | DRAIN, [])])
def test_what_was_drained_comes_back_and_what_is_maintained_does_not(
    haproxy: HAProxy, flags: int, set_: list[str]
) -> None:
    haproxy.flags = flags
    assert keeper.main([haproxy.path, "back", "qwen/h1"]) == 0
    assert haproxy.set == set_


def test_what_is_wrong_on_its_command_line_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    assert keeper.main(["/s", "keep", "qwen/h1"]) == 2
    assert keeper.main(["/s", "dance", "qwen/h1"]) == 2
    assert "haproxy_keeper.py SOCKET keep" in capsys.readouterr().err
