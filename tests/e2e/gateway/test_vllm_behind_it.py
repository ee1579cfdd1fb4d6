"""The real vLLM behind a gateway: each path of its own application, a chat, and a stream."""

from __future__ import annotations

import json
import re
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import yaml

from provision.kinds.common.offer import MODELS, OPENAI
from tests.e2e.command import REPOSITORY, Provision
from tests.e2e.gateway.client import Client
from tests.lab import Base, Lab, LabHost
from tests.lab.environments import installed
from tests.lab.hub import Hub
from tests.lab.models import hub_root

pytestmark = [pytest.mark.lab, pytest.mark.slow]

UPSTREAM_KEY = 'sk-"xq7walk" $HOME `id` \\ end'

GATEWAY = """
- hosts: all
  services:
    gateway:
      kind: gateway
      upstreams: [r1-1.5b]
      keys: {alice: {env: ALICE}}
      checks: [{chat: "你好", expect: provision}]
"""


class Site(NamedTuple):
    """The host, a client of the gateway, and what vLLM says of its own paths."""

    host: LabHost
    client: Client
    paths: dict[str, dict[str, Any]]


@pytest.fixture(scope="module")
def site(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    # The packages and environment of the tests over two hosts, so that they are installed once for both.
    (play,) = yaml.safe_load((REPOSITORY / "tests/lab/playbooks/vllm.yml").read_text())
    (nodes,) = yaml.safe_load((REPOSITORY / "tests/e2e/nodes.yml").read_text())
    play.update({key: nodes[key] for key in ("packages", "environments")})
    base = Base(more=" ".join(play["packages"]))
    host = lab.add("behind", base=base, layers=(installed(lab, play["environments"], base),))[0]
    playbook = tmp_path_factory.mktemp("behind") / "vllm.yml"
    playbook.write_text(yaml.safe_dump([play, *yaml.safe_load(GATEWAY)], allow_unicode=True))
    with Hub(hub_root(), address=lab.network.gateway) as hub:
        options = ["-i", str(lab.inventory), "-e", f"hub={hub.url}", "--limit", "behind"]
        provision = Provision(options, {"R1_API_KEY": UPSTREAM_KEY, "ALICE": "sk-alice"}, Path())
        provision.apply(playbook, timeout=1800)
    with urllib.request.urlopen(f"http://{host.address}:8002/openapi.json", timeout=60) as answer:
        paths = json.load(answer)["paths"]
    yield Site(host, Client(host.address, 8080, "sk-alice"), paths)
    lab.remove("behind")


def test_no_path_of_vllm_answers_without_the_key(site: Site) -> None:
    asked = 0
    for path, methods in site.paths.items():
        for method in methods:
            for key in ("", "sk-wrong", UPSTREAM_KEY):
                plain = re.sub(r"\{[^}]*\}", "x", path)
                reply = site.client.ask(method.upper(), plain, {} if method == "post" else None, key=key)
                assert reply.status == (200 if plain == "/health" else 401), (method, path, key)
                asked += 1
    assert asked > 60


def test_with_the_key_only_what_runs_the_model_is_open(site: Site) -> None:
    reached = set()
    for path, methods in site.paths.items():
        for method in methods:
            plain = re.sub(r"\{[^}]*\}", "x", path)
            reply = site.client.ask(method.upper(), plain, {} if method == "post" else None)
            if reply.status not in (404, 405):
                reached.add(plain)
    assert "/invocations" in site.paths
    assert "/v1/chat/completions" in reached
    assert reached <= {*OPENAI, MODELS, "/health"}


def test_a_chat_and_a_stream(site: Site) -> None:
    asked = {"messages": [{"role": "user", "content": "你好"}], "max_tokens": 32, "temperature": 0}
    chat = site.client.chat("r1-1.5b", **asked)
    assert chat.status == 200, chat
    text = chat.json["choices"][0]["message"]["content"]
    assert "provision" in text
    pieces = site.client.chat("r1-1.5b", stream=True, **asked).pieces
    assert "".join(each["choices"][0]["delta"].get("content") or "" for each in pieces) == text
    assert [each["id"] for each in site.client.ask("GET", "/v1/models").json["data"]] == ["r1-1.5b"]
