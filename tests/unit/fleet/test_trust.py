"""Whom a service trusts: the plan says where everybody may use it, and where code of a model runs."""

from __future__ import annotations

import pytest

from tests.unit.fleet.conftest import Project

SPEECH = "kind: asr, environment: asr, model: s, vad_model: v, port: 8001"
VLLM = "kind: vllm, environment: vllm, model: r1, port: 8000"
PROGRAM = "kind: program, port: 8002, command"
KEY = "api_key: {env: KEY}"


def noted(project: Project, service: str) -> list[tuple[str, str | None]]:
    """Return the codes of a service's notes, and where the playbook has what they are about."""
    catalog = project.compile(f"""
- hosts: all
  environments:
    vllm: {{packages: ["vllm==0.33.0"]}}
    asr: {{packages: [torch, torchaudio, funasr, fastapi, uvicorn, python-multipart]}}
  models: {{r1: {{path: /m/r1}}, s: {{path: /m/s}}, v: {{path: /m/v}}}}
  services:
    one: {{{service}}}
""")
    return [(note.code, (note.where or "").partition(".yml:")[2] or None) for note in catalog.notes]


@pytest.mark.parametrize("service", [VLLM, SPEECH])
@pytest.mark.parametrize(
    ("more", "open"),
    [
        ("", True),
        ("host: 0.0.0.0", True),
        ("host: '::'", True),
        ("host: 127.0.0.1", False),
        ("host: 127.0.0.2", False),
        ("host: '::1'", False),
        (KEY, False),
        ("api_key: [{env: A}, {env: B}]", False),
    ],
)
def test_an_open_server_is_noted_once_unless_it_asks_for_a_key(
    project: Project, service: str, more: str, open: bool
) -> None:
    codes = [code for code, _ in noted(project, f"{service}, {more}")]
    assert codes == (["open-service"] if open else [])


def test_it_is_noted_at_the_address_or_at_the_service(project: Project) -> None:
    assert noted(project, VLLM) == [("open-service", "8:10")]
    assert noted(project, f"{VLLM}, host: 0.0.0.0") == [("open-service", "8:71")]


@pytest.mark.parametrize(
    "more",
    [
        "env: {VLLM_API_KEY: {env: KEY}}",
        "extra_args: [--uds, /run/x/y.sock]",
        "extra_args: [--headless]",
    ],
)
def test_other_ways_to_keep_vllm_closed(project: Project, more: str) -> None:
    assert noted(project, f"{VLLM}, {more}") == []


@pytest.mark.parametrize(
    ("service", "where"),
    [
        (f"{VLLM}, {KEY}, trust_remote_code: true", "8:105"),
        (f"{PROGRAM}: [vllm, serve, /m/r1, --trust_remote_code]", "8:10"),
        ("kind: container, image: 'x:1', command: [--trust-remote-code]", "8:10"),
    ],
)
def test_code_of_a_model_is_named(project: Project, service: str, where: str) -> None:
    assert noted(project, service) == [("own-code", where)]


def test_code_of_a_model_that_does_not_run_is_not_named(project: Project) -> None:
    assert noted(project, f"{VLLM}, {KEY}, trust_remote_code: false") == []
    assert noted(project, f"{PROGRAM}: [serve, /m/r1]") == []
