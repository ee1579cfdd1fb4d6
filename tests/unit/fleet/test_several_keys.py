"""Several API keys for one service: each in the env file, none on the command line."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from provision.catalog.render import render_tree
from provision.engines.vllm.provision_keys import MoreKeys
from tests.unit.fleet.conftest import Project, resource, spec
from tests.unit.fleet.test_vllm_service import ENV, SCRIPT, flags, playbook

KEYS = "api_key: [{env: A}, {env: B}, {file: c}]"
TREE = "tree:/opt/provision/services/r1/keys"


def test_vllm_gets_a_module_that_knows_them(project: Project) -> None:
    catalog = project.compile(playbook(KEYS))
    assert flags(catalog)[-1] == "--middleware provision_keys.MoreKeys"
    rendered = render_tree(catalog)
    assert "export PYTHONPATH=/opt/provision/services/r1/keys" in rendered[SCRIPT][0]
    names = [line.partition("=")[0] for line in rendered[ENV][0].splitlines() if "=" in line]
    assert names == ["VLLM_API_KEY", "PROVISION_API_KEY_2", "PROVISION_API_KEY_3"]
    assert resource(catalog, TREE).triggers == ["r1"]
    assert spec(catalog, "probe:r1").key_name == "VLLM_API_KEY"


def test_one_key_in_a_list_is_one(project: Project) -> None:
    catalog = project.compile(playbook("api_key: [{env: A}]"))
    assert not any(each.id == TREE for each in catalog.resources)
    assert "--middleware" not in " ".join(flags(catalog))


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ("api_key: []", "the list of keys is empty"),
        ("api_key: [sk-secret]", "expected a reference to a secret, found text"),
        (f"{KEYS}\nenv: {{PYTHONPATH: /x}}", "PYTHONPATH is what the field api_key with several keys sets"),
    ],
)
def test_what_cannot_be_meant(project: Project, keys: str, said: str) -> None:
    (problem,) = project.problems(playbook(keys))
    assert said in problem
    assert "sk-secret" not in problem


@pytest.mark.parametrize(
    ("sent", "seen"),
    [
        (b"Bearer one", b"Bearer one"),
        (b"Bearer two", b"Bearer one"),
        (b"bearer three", b"Bearer one"),
        (b"Bearer four", b"Bearer four"),
        (b"Basic two", b"Basic two"),
    ],
)
def test_the_module_turns_each_key_into_the_first(
    monkeypatch: pytest.MonkeyPatch, sent: bytes, seen: bytes
) -> None:
    for name, key in (
        ("VLLM_API_KEY", "one"),
        ("PROVISION_API_KEY_2", "two"),
        ("PROVISION_API_KEY_3", "three"),
    ):
        monkeypatch.setenv(name, key)
    passed: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        passed.append(scope["headers"])

    asyncio.run(MoreKeys(app)({"type": "http", "headers": [(b"authorization", sent)]}, None, None))
    assert passed == [[(b"authorization", seen)]]
