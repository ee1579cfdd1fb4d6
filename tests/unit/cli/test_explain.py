"""`provision explain`, and findings as JSON."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from provision.findings import catalogue
from tests.e2e.command import REPOSITORY, Provision

UNPINNED = """
- hosts: {host}
  environments: {{e: {{packages: [vllm]}}}}
  models: {{m: {{path: /data/m}}}}
  services: {{s: {{kind: vllm, environment: e, model: m, port: 8000, supervisor: script}}}}
"""


@pytest.fixture
def here(tmp_path: Path) -> Provision:
    return Provision(cwd=tmp_path, env={"PYTHONPATH": str(REPOSITORY)})


def objects(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


def test_a_code_is_explained_as_it_was_printed(here: Provision) -> None:
    answer = here.run("explain", "[port-taken]")
    assert answer.code == 0
    for text in (catalogue()["port-taken"].cause, "Way out: Give one of them another port.", "- hosts: all"):
        assert text in answer.out
    (line,) = objects(here.run("explain", "port-taken", "--output", "json").out)
    assert (line["code"], line["title"]) == ("port-taken", catalogue()["port-taken"].title)


def test_without_a_code_all_are_listed(here: Provision) -> None:
    answer = here.run("explain")
    assert answer.code == 0
    listed = [line.split()[0] for line in answer.out.splitlines() if line.startswith("  ")]
    assert listed == list(catalogue())
    assert [line["code"] for line in objects(here.run("explain", "--output", "json").out)] == listed


def test_a_code_that_is_misspelt(here: Provision) -> None:
    answer = here.run("explain", "port-takn")
    assert answer.code == 1
    assert answer.err.startswith("error: there is no code 'port-takn'; did you mean `port-taken`?")


def test_wrong_input_is_a_json_object_a_finding_for_programs(here: Provision) -> None:
    (here.cwd / "p.yml").write_text(
        "- hosts: localhost\n  services:\n"
        "    a: {kind: program, command: [sleep, inf], prot: 80}\n    b: {kind: web}\n"
    )
    answer = here.run("plan", "p.yml", "--output", "json")
    assert answer.code == 1
    found = [(line["code"], line["severity"], line["where"], line["hint"]) for line in objects(answer.out)]
    assert found == [
        ("unknown-key", "error", "p.yml:3:47", "did you mean `port`?"),
        ("unknown-kind", "error", "p.yml:4:15", "kinds: asr, container, gateway, program, ray, vllm"),
    ]
    assert [line.split()[-1] for line in answer.err.splitlines()] == ["[unknown-key]", "[unknown-kind]"]


def test_wrong_usage_is_one_as_well(here: Provision) -> None:
    answer = here.run("remove", "--tags", "a", "--output=json")
    assert answer.code == 1
    (line,) = objects(answer.out)
    assert line["code"] == "wrong-usage"
    assert line["message"].startswith("remove does not take --tags")
    assert answer.err.endswith(" [wrong-usage]\n")


def test_notes_of_validate_are_findings(here: Provision) -> None:
    (here.cwd / "p.yml").write_text(UNPINNED.format(host="localhost"))
    *notes, valid = objects(here.run("validate", "p.yml", "--output", "json").out)
    assert valid["event"] == "valid"
    (note,) = [note for note in notes if note["code"] == "version-not-pinned"]
    assert (note["event"], note["host"], note["severity"]) == ("finding", "localhost", "warning")
    text = here.run("validate", "p.yml").err
    assert f"note: localhost: {note['message']} [version-not-pinned]\n" in text


def test_plan_begins_with_what_is_noted_of_the_playbooks(here: Provision) -> None:
    (here.cwd / "p.yml").write_text(UNPINNED.format(host="box"))
    (here.cwd / "hosts.yml").write_text(
        "hosts: {box: {connection: container, container: no-such-one, prefix: /opt/provision}}\n"
    )
    first, *_ = objects(here.run("plan", "p.yml", "-i", "hosts.yml", "--output", "json").out)
    assert (first["event"], first["code"], first["host"]) == ("finding", "version-not-pinned", "box")


def test_notes_of_a_host_are_texts_and_findings(here: Provision) -> None:
    variables = {"ansible_ssh_common_args": "-o StrictHostKeyChecking=no"}
    printed = json.dumps({"g": ["a"], "_meta": {"hostvars": {"a": variables}}})
    (here.cwd / "cloud").write_text(f"#!/bin/sh\necho '{printed}'\n")
    (here.cwd / "cloud").chmod(0o755)
    (line,) = objects(here.run("inventory", "-i", "cloud", "--host", "a", "--output", "json").out)
    (finding,) = line["findings"]
    assert (finding["code"], [finding["message"]]) == ("host-key-checking", line["notes"])
