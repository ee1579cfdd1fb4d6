# ruff: noqa: E501 (inputs and messages are easier to compare on one line)

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from provision.config.documents import load, parse
from provision.config.schema import schema

ROOT = Path(__file__).parents[3]
SHIPPED = [
    (kind, path.relative_to(ROOT))
    for kind, folder in (("playbook", "playbooks"), ("inventory", "inventories"))
    for base in (ROOT, ROOT / "provision/skeleton")
    for path in sorted((base / folder).glob("*.yml"))
]


def complaints(kind: str, data: Any) -> list[str]:
    return [error.json_path for error in Draft202012Validator(schema(kind)).iter_errors(data)]


@pytest.mark.parametrize("kind", ["playbook", "inventory"])
def test_it_is_a_schema(kind: str) -> None:
    whole = schema(kind)
    assert whole["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    Draft202012Validator.check_schema(whole)
    for name, definition in whole["$defs"].items():
        assert definition["description"], name
        for key, value in definition["properties"].items():
            assert value.get("description"), f"{name}.{key}"


@pytest.mark.parametrize(("kind", "path"), SHIPPED, ids=[str(path) for _, path in SHIPPED])
def test_it_accepts_what_is_shipped(kind: str, path: Path) -> None:
    assert complaints(kind, load(ROOT / path).data) == []


def test_there_is_something_shipped() -> None:
    assert {kind for kind, _ in SHIPPED} == {"playbook", "inventory"}


@pytest.mark.parametrize(
    ("text", "places"),
    [
        ("- {hosts: a, x-y: 1, services: {x-z: 1, s: {kind: vllm, environment: e, model: m, x-a: 1}}}", []),
        ("- {hosts: a, services: {s: {kind: vllm, environment: e, model: m, port: '{{ p }}', gpus: '{{ g }}'}}}", []),
        ("- {hosts: a, services: {s: {kind: vllm, environment: e, model: m, enforce_eager: '{{ p }}'}}}", []),
        ("- {hosts: [a, '!b'], directories: {/a: , '{{ x }}/b': {mode: '0755'}}, users: {u: }, environments: {e: }}", []),
        ("- {hosts: a, files: {/a: {content: x, validate: [c, '{path}']}}, models: {m: {path: '{{ p }}'}}}", []),
        ("- {hosts: a, services: {c: {kind: container, image: x, gpus: all, command: serve, ports: ['1:1']}}}", []),
        ("- {hosts: a, services: {s: {kind: vllm, environment: e, model: m, checks: [{chat: hi}, {chat: {user: u}}]}}}", []),
        ("- {hosts: a, services: {s: {kind: asr, environment: e, model: m, vad_model: v, api_key: {env: K}, start_timeout: 5m}}}", []),
        ("- {hosts: a, vars: {a: {b: [1]}}, tags: t}", []),
        ("- {hosts: a, foo: 1}", ["$[0]"]),
        ("- {services: {}}", ["$[0]"]),
        ("{hosts: a}", ["$"]),
        ("- {hosts: a, services: {s: {kind: vlm}}}", ["$[0].services.s.kind"]),
        ("- {hosts: a, services: {s: {kind: vllm, environment: e}}}", ["$[0].services.s"]),
        ("- {hosts: a, services: {s: {kind: vllm, environment: e, model: m, port: abc}}}", ["$[0].services.s.port"]),
        ("- {hosts: a, services: {s: {kind: vllm, environment: e, model: m, port: 70000}}}", ["$[0].services.s.port"]),
        ("- {hosts: a, services: {s: {kind: vllm, environment: e, model: m, api_key: sk}}}", ["$[0].services.s.api_key"]),
        ("- {hosts: a, packages: git}", ["$[0].packages"]),
        ("- {hosts: a, files: {/a: {content: x, mode: 644}}}", ["$[0].files['/a'].mode"]),
    ],
)  # fmt: skip
def test_playbooks(text: str, places: list[str]) -> None:
    assert complaints("playbook", parse(text, "p.yml").data) == places


@pytest.mark.parametrize(
    ("text", "places"),
    [
        ("{hosts: {a: , b: {connection: ssh, port: '{{ p }}', x-rack: 1}}, groups: {g: {hosts: [a]}, h: }, x-a: 1}", []),
        ("{hosts: {a: {conection: ssh}}}", ["$.hosts"]),
        ("{hosts: {a: {connection: telnet}}}", ["$.hosts"]),
        ("{hosts: {a: {port: 0}}}", ["$.hosts"]),
        ("{host: {}}", ["$"]),
    ],
)  # fmt: skip
def test_inventories(text: str, places: list[str]) -> None:
    found = complaints("inventory", parse(text, "i.yml").data)
    assert found == places
