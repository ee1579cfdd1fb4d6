"""Declared checks, and the proof that follows from the flags where none is declared."""

from __future__ import annotations

import pytest

from provision.wire import checks
from provision.wire.specs.probe import ProbeSpec
from tests.unit.fleet.conftest import Project, record
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
    assert record(catalog, "probe:r1", ProbeSpec).checks == [checks.Fitting(first=first)]


@pytest.mark.parametrize(
    ("check", "wanted"),
    [
        ("embed: hi", checks.Embed(text="hi")),
        ("classify: hi, expect: good, timeout: 5s", checks.Classify(text="hi", expect="good", timeout=5.0)),
        (
            "rerank: {query: a, documents: [b, c]}, expect: c, model: r1",
            checks.Rerank(query="a", documents=["b", "c"], expect="c", model="r1"),
        ),
        ("score: {query: a, documents: [b]}", checks.Score(query="a", documents=["b"])),
        (
            "http: /v1/x, body: {x-a: [1]}, headers: {x-b: c}, status: [200, 201], json: {a.0.b: 1}",
            checks.Http(
                path="/v1/x",
                body={"x-a": [1]},
                headers={"x-b": "c"},
                status=[200, 201],
                json={"a.0.b": 1},
            ),
        ),
        ("http: /x, method: PUT, body: y", checks.Http(path="/x", method="PUT", body="y")),
    ],
)
def test_what_a_check_sends(project: Project, check: str, wanted: checks.Check) -> None:
    catalog = project.compile(playbook(f"checks: [{{{check}}}]"))
    assert record(catalog, "probe:r1", ProbeSpec).checks == [wanted]


@pytest.mark.parametrize(
    ("check", "said"),
    [
        ("embed: hi, expect: x", "`expect` has no meaning for a `embed` check"),
        ("http: /, model: r1", "`model` has no meaning for a `http` check"),
        ("chat: hi, json: {a: 1}", "`json` has no meaning for a `chat` check"),
        ("http: /, method: GET, body: x", "a GET request has no body; leave one of the two out"),
        ("http: /, status: [200, 99]", "expected a whole number from 100 to 599, or a list of them"),
        ("http: /, json: {'a..b': 1}", "is not a path in JSON; write one such as choices.0.text"),
        ("http: /, headers: {A: {env: KEY}}", "the header `A` cannot be a secret; a key that `api_key`"),
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
    assert ":13:29: by its flags the model generates no text and cannot answer `chat`; use `embed`" in problem


def test_an_adapter_of_the_arguments_may_be_asked_for(project: Project) -> None:
    adapters = '[--enable-lora, --lora-modules, sql=/data/sql, \'{"name": "py", "path": "/data/py"}\']'
    declared = "checks: [{chat: hi, model: sql}, {chat: hi, model: py}]"
    catalog = project.compile(playbook(f"extra_args: {adapters}\n{declared}"))
    asked = [checks.Chat(user="hi", model=name) for name in ("sql", "py")]
    assert record(catalog, "probe:r1", ProbeSpec).checks == asked


def test_a_speech_server_chats_with_nobody(project: Project) -> None:
    service = "{kind: asr, environment: e, model: m, vad_model: m, checks: [{chat: hi}]}"
    play = f"- hosts: all\n  environments: {{e: {{path: /e}}}}\n  services:\n    a: {service}\n"
    (problem,) = project.problems(play)
    assert "checks[0]: a speech server answers no `chat`; use `transcribe` or `http`" in problem
