"""Declared checks, and the proof that follows from the flags where none is declared."""

from __future__ import annotations

from typing import Any

import pytest

from tests.unit.fleet.conftest import Project, spec
from tests.unit.fleet.test_vllm_service import playbook

OLD = '"vllm==0.11.0", modelscope'


@pytest.mark.parametrize(
    ("arguments", "first"),
    [
        ("[--runner, pooling]", "embed"),
        ("[--runner=pooling, --convert, classify]", "classify"),
        ("[--task, score]", "score"),
        ("[--task, transcription]", "transcribe"),
        ("[--task, auto]", None),
        ("[--enforce-eager]", None),
    ],
)
def test_flags_tell_what_a_model_does(project: Project, arguments: str, first: str | None) -> None:
    service = f"extra_args: {arguments}" if "eager" not in arguments else "enforce_eager: true"
    catalog = project.compile(playbook(service, OLD))
    assert spec(catalog, "probe:r1")["checks"] == [{"type": "fitting", "first": first}]


@pytest.mark.parametrize(
    ("check", "wanted"),
    [
        ("embed: hi", {"type": "embed", "text": "hi"}),
        ("classify: hi, expect: good", {"type": "classify", "text": "hi", "expect": "good"}),
        (
            "rerank: {query: a, documents: [b, c]}, expect: c, model: r1",
            {"type": "rerank", "query": "a", "documents": ["b", "c"], "expect": "c", "model": "r1"},
        ),
        ("score: {query: a, documents: [b]}", {"type": "score", "query": "a", "documents": ["b"]}),
        (
            "http: /v1/x, body: {x-a: [1]}, headers: {x-b: c}, status: [200, 201], json: {a.0.b: 1}",
            {
                "type": "http",
                "path": "/v1/x",
                "body": {"x-a": [1]},
                "headers": {"x-b": "c"},
                "status": [200, 201],
                "json": {"a.0.b": 1},
            },
        ),
        ("http: /x, method: PUT, body: y", {"path": "/x", "method": "PUT", "body": "y", "status": 200}),
    ],
)
def test_what_a_check_sends(project: Project, check: str, wanted: dict[str, Any]) -> None:
    (found,) = spec(project.compile(playbook(f"checks: [{{{check}}}]")), "probe:r1")["checks"]
    assert found == {"type": "http", **wanted, "timeout": 120.0}


@pytest.mark.parametrize(
    ("check", "said"),
    [
        ("embed: hi, expect: x", "`expect` has no meaning for a `embed` check"),
        ("http: /, model: r1", "`model` has no meaning for a `http` check"),
        ("chat: hi, json: {a: 1}", "`json` has no meaning for a `chat` check"),
        ("http: /, method: GET, body: x", "a GET request has no body; leave one of the two out"),
        ("http: /, status: [200, 99]", "expected a whole number from 100 to 599, or a list of them"),
        ("http: /, json: {'a..b': 1}", "is no path in JSON; write it such as choices.0.text"),
        ("http: /, headers: {A: {env: KEY}}", "the header `A` can be no secret; a key that `api_key`"),
        ("http: /, headers: {'a b': c}", "cannot be the name of a header"),
        ("rerank: {query: a, documents: []}", "at least 1"),
        ("rerank: {query: a, documents: [b]}, expect: c", "none of the documents holds what `expect` says"),
        ("chat: hi, model: r2", "the service serves no model `r2`; known: r1"),
    ],
)
def test_what_a_check_cannot_mean(project: Project, check: str, said: str) -> None:
    assert said in project.problems(playbook(f"checks: [{{{check}}}]"))[0]


def test_flags_tell_what_can_never_be_answered(project: Project) -> None:
    service = "extra_args: [--runner, pooling]\nchecks: [{embed: hi}, {chat: hi}]"
    (problem,) = project.problems(playbook(service))
    assert (
        ":13:29: by its flags the model writes nothing, so that no `chat` can be answered; use `embed`"
        in problem
    )


def test_an_adapter_of_the_arguments_may_be_asked_for(project: Project) -> None:
    adapters = '[--enable-lora, --lora-modules, sql=/data/sql, \'{"name": "py", "path": "/data/py"}\']'
    checks = "checks: [{chat: hi, model: sql}, {chat: hi, model: py}]"
    catalog = project.compile(playbook(f"extra_args: {adapters}\n{checks}"))
    assert [check["model"] for check in spec(catalog, "probe:r1")["checks"]] == ["sql", "py"]


def test_a_speech_server_chats_with_nobody(project: Project) -> None:
    service = "{kind: asr, environment: e, model: m, vad_model: m, checks: [{chat: hi}]}"
    play = f"- hosts: all\n  environments: {{e: {{path: /e}}}}\n  services:\n    a: {service}\n"
    (problem,) = project.problems(play)
    assert "checks[0]: a speech server answers no `chat`; use `transcribe` or `http`" in problem
