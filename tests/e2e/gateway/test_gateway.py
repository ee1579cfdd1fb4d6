"""A gateway in front of services of two other hosts: real HAProxy, with servers that stream as vLLM does."""

from __future__ import annotations

import re
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from tests.e2e.command import REPOSITORY, Provision
from tests.e2e.gateway.client import Client
from tests.e2e.gateway.load import Load
from tests.lab import Lab, LabHost

pytestmark = pytest.mark.lab

UPSTREAM = Path(__file__).with_name("upstream.py")

SECRETS = {"ALICE": "sk-alice-1", "BOB": "sk-bob-2", "CAROL": "sk-carol-3", "UP": 'up "key" $HOME'}

PLAYBOOK = f"""\
- hosts: [up1, up2]
  files: {{/srv/upstream.py: {{source: {UPSTREAM}}}}}
  services:
    chat:
      kind: program
      command: [/usr/bin/python3, /srv/upstream.py, 8101, "{{{{ host.name }}}}"]
      port: 8101
      served_model_name: chat
      env: {{VLLM_API_KEY: {{env: UP}}}}
- hosts: up2
  services:
    other:
      kind: program
      command: [/usr/bin/python3, /srv/upstream.py, 8102, up2, org/other]
      port: 8102
      served_model_name: org/other
- hosts: front
  services:
    gateway:
      kind: gateway
      upstreams: [chat, other]
      keys: {{alice: {{env: ALICE}}, bob: {{env: BOB}}}}
      limits: {{body: 2M, inspected: 512K}}
      timeouts: {{request: 3s}}
"""

UNIT = "provision-gateway"
SOCKET = f"/run/{UNIT}/admin.sock"


class Site:
    """Three hosts, the playbook, and a client of the gateway."""

    def __init__(self, folder: Path, lab: Lab, hosts: dict[str, LabHost]) -> None:
        self.hosts = hosts
        self.front = hosts["front"]
        env = {**SECRETS, "PYTHONPATH": str(REPOSITORY)}
        self.provision = Provision(["-i", str(lab.inventory)], env, folder)
        self.playbook = folder / "site.yml"
        self.playbook.write_text(PLAYBOOK)
        self.client = Client(self.front.address, 8080, SECRETS["ALICE"])

    def sh(self, script: str, host: str = "front") -> str:
        return self.hosts[host].exec(["sh", "-c", script]).stdout.strip()

    def edit(self, old: str, new: str) -> None:
        text = self.playbook.read_text()
        assert old in text
        self.playbook.write_text(text.replace(old, new, 1))

    def admin(self, *words: str) -> str:
        return self.sh(f"python3 /opt/provision/haproxy_admin.py {SOCKET} {' '.join(words)}")

    def pid(self) -> str:
        return self.sh(f"systemctl show -p MainPID --value {UNIT}")

    def states(self) -> dict[str, str]:
        return {line.split()[0]: line.split()[1] for line in self.admin("show").splitlines()}

    def await_state(self, server: str, state: str) -> None:
        deadline = time.monotonic() + 60
        while self.states()[server] != state:
            assert time.monotonic() < deadline, self.admin("show")
            time.sleep(0.2)


@pytest.fixture(scope="module")
def site(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    hosts = dict(zip(("front", "up1", "up2"), lab.add("front", "up1", "up2"), strict=True))
    yield Site(tmp_path_factory.mktemp("gateway"), lab, hosts)
    lab.remove("front", "up1", "up2")


def test_from_nothing_to_an_answer_through_it(site: Site) -> None:
    answer = site.provision.apply(site.playbook)
    asked = [proof for proof in answer.event("proof", host="front") if proof["check"] != "running"]
    assert [proof["check"] for proof in asked] == ["completion of chat", "completion of org/other"]
    assert all(proof["ok"] for proof in asked)
    assert not [value for value in SECRETS.values() if value in answer.out]
    assert site.states() == {"chat/up1": "UP", "chat/up2": "UP", "other/up2": "UP"}
    site.provision.plan(site.playbook, code=0)


def test_the_unit_of_the_distribution_stays_off(site: Site) -> None:
    assert site.sh("systemctl is-enabled haproxy || true") == "disabled"
    assert site.sh("systemctl is-active haproxy || true") == "inactive"


def test_secrets_are_in_files_of_one_user_only(site: Site) -> None:
    found = site.sh("cd /opt/provision/services/gateway && stat -c '%n %a %U' *")
    modes = {name: (mode, owner) for name, mode, owner in map(str.split, found.splitlines())}
    assert modes["clients.map"] == ("600", "provision")
    assert modes["upstreams.map"] == ("600", "provision")
    assert modes["check.env"] == ("600", "root")
    assert site.sh(f"stat -c '%a %U' {SOCKET} /run/{UNIT}") == "600 provision\n700 provision"
    for key in ("sk-alice", "sk-bob", "up .key"):
        readable = site.sh(f"grep -rl '{key}' /opt/provision /etc /run/{UNIT} || true").splitlines()
        assert set(readable) <= {
            f"/opt/provision/services/gateway/{name}" for name in ("check.env", "upstreams.map")
        }


def test_each_request_needs_a_key_and_is_told_nothing_else(site: Site) -> None:
    said = set()
    for headers in (
        {},
        {"Authorization": "Bearer wrong"},
        {"Authorization": "Bearer"},
        {"Authorization": "Bearer "},
        {"Authorization": "Basic c2stYWxpY2UtMQ=="},
        {"Authorization": SECRETS["ALICE"]},
        {"Authorization": f"Bearer {SECRETS['ALICE']} x"},
        {"Authorization": f"Bearer {SECRETS['UP']}"},
        {"X-API-Key": SECRETS["ALICE"]},
    ):
        for method, path in (("POST", "/v1/chat/completions"), ("GET", "/v1/models"), ("GET", "/docs")):
            keyless = Client(site.front.address, 8080)
            reply = keyless.ask(method, path, {} if method == "POST" else None, headers)
            assert reply.status == 401, (headers, path)
            said.add(reply.body)
    assert len(said) == 1
    assert site.client.chat(key=SECRETS["BOB"]).status == 200
    assert Client(site.front.address, 8080).ask("GET", "/health").json == {"status": "ok"}


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("POST", "/invocations", 404),
        ("POST", "/tokenize", 404),
        ("GET", "/docs", 404),
        ("POST", "/pause", 404),
        ("POST", "/sleep", 404),
        ("POST", "/collective_rpc", 404),
        ("GET", "/metrics", 404),
        ("GET", "/", 404),
        ("POST", "/v1/chat/completions/", 404),
        ("POST", "//v1/chat/completions", 404),
        ("POST", "/v1//chat/completions", 404),
        ("POST", "/v1/../invocations", 404),
        ("POST", "/v1/%2e%2e/invocations", 404),
        ("POST", "/v1/chat%2fcompletions", 404),
        ("POST", "/%761/chat/completions", 404),
        ("POST", "/v1/chat/completions;/../../invocations", 404),
        ("POST", "/chat/invocations", 404),
        ("POST", "/chat/../invocations", 404),
        ("POST", "/chat//invocations", 404),
        ("POST", "/nobody/v1/chat/completions", 404),
        ("POST", "http://x/invocations", 404),
        ("GET", "/v1/chat/completions", 405),
        ("DELETE", "/v1/chat/completions", 405),
        ("OPTIONS", "/v1/chat/completions", 405),
        ("POST", "/v1/models", 405),
    ],
)
def test_only_the_paths_of_the_kind_are_open(site: Site, method: str, path: str, status: int) -> None:
    request = f"{method} {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {SECRETS['ALICE']}\r\n"
    answer = site.client.raw(f"{request}Content-Length: 0\r\nConnection: close\r\n\r\n".encode())
    assert answer.startswith(f"HTTP/1.1 {status} ".encode()), answer
    assert b"reached" not in answer


def test_two_lengths_are_no_way_past_it(site: Site) -> None:
    hidden = b"POST /invocations HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n"
    for lengths in (
        f"Content-Length: 0\r\nContent-Length: {len(hidden)}\r\n",
        f"Content-Length: {len(hidden)}\r\nTransfer-Encoding: chunked\r\n",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n",
    ):
        head = f"POST /v1/embeddings HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {SECRETS['ALICE']}\r\n"
        answer = site.client.raw((head + lengths + "\r\n").encode() + b"0\r\n\r\n" + hidden)
        assert b"reached" not in answer, answer


def test_the_server_gets_its_own_key_and_never_the_clients(site: Site) -> None:
    seen = site.client.chat("org/other").json["seen"]
    assert "Authorization" not in seen
    assert re.fullmatch(r"[0-9a-f-]{36}", seen["x-request-id"])
    assert site.client.chat("chat").status == 200


def test_a_stream_arrives_piece_by_piece(site: Site) -> None:
    reply = site.client.chat(stream=True, n=5, gap=1)
    assert len(reply.pieces) == 5
    assert reply.first < 2


def test_a_long_silence_before_the_first_word_is_waited_for(site: Site) -> None:
    assert len(site.client.chat(stream=True, first=6, n=2, gap=5).pieces) == 2  # `timeouts.request` is 3 s


def test_requests_go_where_the_fewest_run(site: Site) -> None:
    with Load(site.client, clients=6) as load:
        time.sleep(3)
    assert load.failures == []
    assert min(load.servers["up1"], load.servers["up2"]) > 0.3 * sum(load.servers.values())


def test_the_model_of_the_request_or_the_path_chooses_the_service(site: Site) -> None:
    text = {"messages": [{"role": "user", "content": "x" * 200_000}]}
    for model in ("chat", "org/other"):
        last = site.client.ask("POST", "/v1/chat/completions", {**text, "model": model})
        assert (last.status, last.json["model"]) == (200, model)
    named = site.client.ask("POST", "/other/v1/chat/completions", {**text, "model": "whatever"})
    assert named.json["model"] == "whatever"
    listed = site.client.ask("GET", "/v1/models").json["data"]
    assert [each["id"] for each in listed] == ["chat", "org/other"]
    assert site.client.ask("GET", "/other/v1/models").json["data"] == [{"id": "org/other"}]


def test_a_model_that_cannot_be_seen_is_said_so(site: Site) -> None:
    long = {"messages": [{"role": "user", "content": "x" * 600_000}], "model": "chat"}
    for body in (long, {"model": "nobody"}, {"messages": []}, b"\x00\xff", [1]):
        reply = site.client.ask("POST", "/v1/chat/completions", body)
        assert (reply.status, reply.json["error"]["code"]) == (404, "model_not_found")
    first = {"model": "chat", "messages": long["messages"]}
    assert site.client.ask("POST", "/v1/chat/completions", first).status == 200
    assert site.client.ask("POST", "/chat/v1/chat/completions", long).status == 200


def test_what_is_too_large_or_too_slow_is_refused(site: Site) -> None:
    many = {"X-Long": "x" * 64_000}
    assert site.client.ask("GET", "/v1/models", headers=many).status == 431
    head = f"Host: x\r\nAuthorization: Bearer {SECRETS['ALICE']}\r\n"
    large = f"POST /v1/embeddings HTTP/1.1\r\n{head}Content-Length: 100000000\r\n\r\n".encode()
    assert site.client.raw(large + b"x" * 1000).startswith(b"HTTP/1.1 413 ")
    chunk = b"80000\r\n" + b"x" * 0x80000 + b"\r\n"
    chunked = f"POST /v1/embeddings HTTP/1.1\r\n{head}Transfer-Encoding: chunked\r\n\r\n".encode()
    assert site.client.raw(chunked + 2 * chunk).startswith(b"HTTP/1.1 411 ")
    for slow in (
        b"POST /v1/emb",
        f"POST /v1/embeddings HTTP/1.1\r\n{head}Content-Length: 9\r\n\r\nx".encode(),
    ):
        began = time.monotonic()
        answer = site.client.raw(slow)
        assert answer.startswith(b"HTTP/1.1 408 "), answer
        assert time.monotonic() - began > 2.5


def test_the_log_names_the_key_and_holds_neither_keys_nor_bodies(site: Site) -> None:
    site.client.ask(
        "POST", "/v1/chat/completions?key=in-the-query", {"model": "chat", "prompt": "a secret prompt"}
    )
    site.client.chat(key=SECRETS["BOB"])
    site.client.chat(key="sk-wrong")
    log = site.provision.run("logs", "gateway", site.playbook, "-n", "400").out
    journal = site.sh(f"journalctl -q -o cat -u {UNIT}")
    for text in (log, journal):
        assert "key=alice method=POST path=/v1/chat/completions status=200" in text
        assert "key=bob " in text
        assert "key=- method=POST path=/v1/chat/completions status=401" in text
        assert not re.search(r"sk-|secret prompt|in-the-query|up .key", text)


def test_its_metrics_are_on_the_loopback_alone(site: Site) -> None:
    fetch = (
        "python3 -c 'import urllib.request as u; "
        'print(u.urlopen("http://127.0.0.1:8405/metrics").read().decode())\''
    )
    assert 'haproxy_server_current_sessions{proxy="chat",server="up1"}' in site.sh(fetch)
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((site.front.address, 8405), timeout=5)


def test_a_change_reloads_it_and_no_request_is_lost(site: Site) -> None:
    before = site.pid()
    site.admin("drain", "chat/up1")
    site.await_state("chat/up1", "DRAIN")
    long = Load(site.client, clients=2, asked={"n": 12, "gap": 1})
    with Load(site.client) as load, long:
        time.sleep(1)
        site.edit("bob: {env: BOB}", "carol: {env: CAROL}")
        plan = site.provision.plan(site.playbook, code=2)
        assert [each["reload"] for each in plan.event("restart")] == [True]
        applied = site.provision.apply(site.playbook)
        site.edit("body: 2M", "body: 3M")
        site.provision.apply(site.playbook)
        time.sleep(1)
    assert (load.failures, long.failures) == ([], [])
    assert set(load.servers) == {"up2"}
    assert site.pid() == before
    asked = [proof for proof in applied.event("proof", host="front") if proof["check"] != "running"]
    assert [proof["ok"] for proof in asked] == [True, True]
    assert site.states()["chat/up1"] == "DRAIN"
    assert site.client.chat(key=SECRETS["CAROL"]).status == 200
    assert site.client.chat(key=SECRETS["BOB"]).status == 401
    site.admin("ready", "chat/up1")
    site.await_state("chat/up1", "UP")
    site.provision.plan(site.playbook, code=0)


def test_a_refused_configuration_is_explained_and_changes_nothing(site: Site) -> None:
    before = site.pid()
    with Load(site.client, clients=2) as load:
        site.edit("      upstreams:", "      addresses: {up1: no-such-host.invalid}\n      upstreams:")
        answer = site.provision.run("apply", site.playbook, "--yes", json=True)
        site.edit("      addresses: {up1: no-such-host.invalid}\n", "")
    assert answer.code == 1
    (failed,) = answer.event("result", id="file:/opt/provision/services/gateway/haproxy.cfg")
    assert failed["finding"]["code"] == "content-refused"
    assert "could not resolve address 'no-such-host.invalid'" in failed["finding"]["message"]
    assert "addresses" in failed["finding"]["hint"]
    assert load.failures == []
    assert site.pid() == before
    site.provision.plan(site.playbook, code=0)


def test_what_does_not_answer_through_it_stays_unproven(site: Site) -> None:
    check = "      checks: [{chat: hello, model: chat, expect: never said}]\n      keys:"
    site.edit("      keys:", check)
    site.edit("body: 3M", "body: 4M")
    for _ in range(2):
        answer = site.provision.run("apply", site.playbook, "--yes", json=True)
        assert answer.code == 1
        assert [each["ok"] for each in answer.event("proof", check="chat of chat")] == [False]
        assert "gateway-not-answering" in [each["code"] for each in answer.event("error", host="front")]
    site.edit(check, "      keys:")
    site.provision.apply(site.playbook)
    site.provision.plan(site.playbook, code=0)


def test_a_server_that_dies_takes_only_its_own_requests_along(site: Site) -> None:
    with Load(site.client, clients=6) as load:
        time.sleep(1)
        site.sh("systemctl kill -s KILL provision-chat && systemctl stop provision-chat", "up1")
        time.sleep(4)
    assert len(load.failures) <= 6, load.failures
    assert site.states()["chat/up1"] == "DOWN"
    site.sh("systemctl start provision-chat", "up1")
    site.await_state("chat/up1", "UP")


def test_without_a_server_the_answer_is_503_at_once_or_after_the_queue(site: Site) -> None:
    site.sh("systemctl stop provision-other", "up2")
    site.await_state("other/up2", "DOWN")
    refused = site.client.chat("org/other")
    assert (refused.status, refused.headers["retry-after"]) == (503, "5")
    assert refused.first < 2
    site.sh("systemctl start provision-other", "up2")
    site.await_state("other/up2", "UP")
    site.edit("      keys:", "      queue: 20s\n      keys:")
    site.provision.apply(site.playbook)
    site.admin("drain", "other/up2")
    site.await_state("other/up2", "DRAIN")
    with Load(Client(site.front.address, 8080, SECRETS["ALICE"]), clients=1) as others:
        replies: list[Any] = []
        held = [Thread(target=lambda: replies.append(site.client.chat("org/other"))) for _ in range(3)]
        for thread in held:
            thread.start()
        time.sleep(2)
        assert replies == []
        site.sh(f"systemctl reload {UNIT}")  # what waits in the old process has to find the new one
        time.sleep(1)
        site.admin("ready", "other/up2")
        for thread in held:
            thread.join()
    assert [reply.status for reply in replies] == [200] * 3
    assert others.failures == []


def test_it_is_verified_shown_and_removed(site: Site) -> None:
    site.provision.plan(site.playbook, code=0)
    verified = site.provision.run("verify", site.playbook, json=True)
    assert verified.code == 0
    assert [each["check"] for each in verified.event("proof", host="front")] == [
        "completion of chat",
        "completion of org/other",
    ]
    status = site.provision.run("status", site.playbook).out
    assert re.search(r"^front +gateway +running ", status, re.MULTILINE)
    limited = site.provision.run("plan", site.playbook, "--limit", "front", "--detailed-exitcode")
    assert limited.code == 0, limited.out
    removed = site.provision.run("remove", site.playbook, "--service", "gateway", "--yes")
    assert removed.code == 0, removed.out
    assert site.sh("find /opt/provision/services /run/provision-gateway -type f 2>/dev/null || true") == ""
    assert site.sh("systemctl is-active provision-gateway || true") == "inactive"
