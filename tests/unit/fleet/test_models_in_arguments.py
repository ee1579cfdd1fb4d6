"""Models that a service names beside its own: waited for, restarting it, and in the words of the release."""

from __future__ import annotations

import json

import pytest

from tests.unit.fleet.conftest import Project, resource, spec
from tests.unit.fleet.test_vllm_service import flags, playbook

MORE = """\
models:
        sql: {modelscope: acme/sql-lora}
        draft: {path: /data/draft}
"""


def with_models(service: str, packages: str = '"vllm==0.33.0", modelscope') -> str:
    return playbook(service, packages).replace("models:\n", MORE)


def needs(project: Project, service: str) -> tuple[list[str], list[str]]:
    """Return the models that a service's start needs, and those that restart it."""
    catalog = project.compile(with_models(service), vars="{model_root: /data/model}")
    needed = [id for id in resource(catalog, "unit:r1").needs if id.startswith("model:")]
    restarts = [each.id for each in catalog.resources if each.type == "model" and "r1" in each.triggers]
    return needed, sorted(restarts)


@pytest.mark.parametrize(
    ("service", "named"),
    [
        ("lora: {sql: sql}", ["sql"]),
        ("lora: {a: sql, b: draft}", ["sql", "draft"]),
        ("speculative: {model: draft, num_speculative_tokens: 3}", ["draft"]),
        ("extra_args: [--tokenizer, {model: draft}]", ["draft"]),
        ("extra_args: [--tokenizer, {model: draft, file: tokenizer}]", ["draft"]),
        ("extra_args: [--speculative-config, {method: eagle3, model: {model: draft}}]", ["draft"]),
        ("extra_args: [--lora-modules, 'sql={{ model_root }}/acme/sql-lora']", ["sql"]),
        ('extra_args: [--speculative-config, \'{"model": "/data/draft"}\']', ["draft"]),
        ("env: {TOKENIZER: /data/draft/tokenizer.json}", ["draft"]),
    ],
)
def test_it_waits_for_them_and_restarts_with_them(project: Project, service: str, named: list[str]) -> None:
    needed, restarts = needs(project, service)
    ids = [f"model:{name}" for name in named]
    assert needed == ["model:r1", *ids]
    assert restarts == sorted(["model:r1", *ids])


def test_what_reaches_the_command_line(project: Project) -> None:
    service = "lora: {a: sql, b: draft}\nspeculative: {model: draft, num_speculative_tokens: 3}"
    service += "\nextra_args: [--tokenizer, {model: draft, file: t}]\nchecks: [{chat: hi, model: b}]"
    catalog = project.compile(with_models(service))
    sql, draft = (spec(catalog, f"model:{name}").path for name in ("sql", "draft"))
    assert flags(catalog)[-4:] == [
        "--enable-lora",
        f"--lora-modules a={sql} b={draft}",
        f"""--speculative-config '{{"model": "{draft}", "num_speculative_tokens": 3}}'""",
        f"--tokenizer {draft}/t",
    ]
    assert spec(catalog, "model:draft").required == ["t"]
    assert spec(catalog, "probe:r1").checks[0].model == "b"


def test_before_there_was_one_flag_for_all(project: Project) -> None:
    service = "speculative: {model: draft, num_speculative_tokens: 3}"
    old = project.compile(with_models(service, '"vllm==0.8.3", modelscope'))
    assert flags(old)[-2:] == ["--speculative-model /data/draft", "--num-speculative-tokens 3"]
    (problem,) = project.problems(
        with_models("speculative: {method: ngram, num_speculative_tokens: 3}", '"vllm==0.8.3", modelscope')
    )
    assert "`method` of speculative needs vLLM 0.8.5 or later" in problem


def test_a_mapping_that_names_more_than_a_model_is_json(project: Project) -> None:
    catalog = project.compile(
        with_models(
            "extra_args: [--speculative-config, {method: ngram, model: x, num_speculative_tokens: 2}]"
        )
    )
    (line,) = [line for line in flags(catalog) if line.startswith("--speculative-config")]
    assert json.loads(line.split(" ", 1)[1].strip("'"))["model"] == "x"


@pytest.mark.parametrize(
    ("service", "said"),
    [
        ("lora: {a: sqll}", "there is no model `sqll`; did you mean `sql`?"),
        ("speculative: {model: nothing}", "there is no model `nothing`"),
        ("speculative: {model: {path: /x}}", "`model` expects the name of a model"),
        ("extra_args: [--tokenizer, {model: nothing}]", "there is no model `nothing`"),
        ("extra_args: [--tokenizer, {model: draft, file: ../x}]", "`file` expects a path inside the model"),
        ("lora: {a: sql}\nextra_args: [--lora-modules, b=/b]", "--lora-modules and the field lora"),
        (
            "speculative: {model: draft}\nextra_args: [-sc, {method: ngram}]",
            "-sc and the field speculative are about the same",
        ),
        ("lora: {a: sql}\nchecks: [{chat: hi, model: b}]", "the service serves no model `b`; known: a, r1"),
    ],
)
def test_what_cannot_be_meant(project: Project, service: str, said: str) -> None:
    assert said in project.problems(with_models(service))[0]


@pytest.mark.parametrize(
    ("kind", "runner"),
    [
        ("kind: program, command: [serve, --model, /data/draft/model.gguf]", "unit:other"),
        ("kind: container, image: 'x:1', volumes: ['/data:/models:ro']", "container:other"),
    ],
)
def test_other_kinds_by_the_paths_that_they_name(project: Project, kind: str, runner: str) -> None:
    catalog = project.compile(
        f"- hosts: all\n  models: {{draft: {{path: /data/draft}}}}\n  services:\n    other: {{{kind}}}\n"
    )
    assert "model:draft" in resource(catalog, runner).needs
    assert resource(catalog, "model:draft").triggers == ["other"]
