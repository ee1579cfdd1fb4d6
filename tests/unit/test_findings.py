"""The catalogue of codes: complete, without leftovers, and with examples that are true."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from provision.config.problems import ConfigError
from provision.connect import become, container, ssh
from provision.findings import Entry, areas, catalogue
from provision.project.load import load
from provision.project.project import Selection

PACKAGE = Path(__file__).resolve().parents[2] / "provision"
CODE = r"[a-z]+(?:-[a-z]+)+"
MAKERS = {
    "Failure",
    "Problem",
    "Refusal",
    "_failure",
    "_known",
    "fault",
    "failure",
    "information",
    "note",
    "problem",
    "reject",
    "warning",
}
"""What takes a code as its first argument."""

INVENTORY = "hosts:\n  box: {address: 192.0.2.12, user: ops, become: true}\n"
PLAYBOOK = "- hosts: all\n  packages: [git]\n"


def texts() -> Iterator[tuple[ast.AST, str]]:
    """Give each text in the code that could be a code, with the call whose code it is, if any."""
    for path in PACKAGE.rglob("*.py"):
        if path.is_relative_to(PACKAGE / "asr"):
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            given: list[ast.expr] = []
            if isinstance(node, ast.Call):
                called = node.func.attr if isinstance(node.func, ast.Attribute) else ast.unparse(node.func)
                given = [each.value for each in node.keywords if each.arg == "code"]
                given += node.args[:1] if called in MAKERS else []
            for each in given:
                if isinstance(each, ast.Constant) and isinstance(each.value, str):
                    yield node, each.value
            text = node.value if isinstance(node, ast.Constant) else None
            if isinstance(text, str) and re.fullmatch(CODE, text):
                yield node, text


def test_every_code_in_use_is_in_the_catalogue() -> None:
    used = {text for node, text in texts() if isinstance(node, ast.Call)}
    used |= {code for code, *_ in (*ssh._MESSAGES, *become._REFUSALS)}
    used |= {said.code for _, said in container._MESSAGES}
    assert used <= set(catalogue())


def test_every_code_of_the_catalogue_is_in_use() -> None:
    assert set(catalogue()) <= {text for _, text in texts()}


def test_no_code_is_in_two_areas() -> None:
    assert len(catalogue()) == sum(map(len, areas().values()))


def test_codes_are_words_with_hyphens_and_entries_are_sentences() -> None:
    for code, entry in catalogue().items():
        assert re.fullmatch(CODE, code)
        assert not entry.title.endswith(".")
        assert entry.cause.endswith(".")
        assert entry.way_out.endswith(".")
        assert not re.search(rf"\[{CODE}\]$", entry.example)


@pytest.mark.parametrize(
    ("code", "entry"),
    [
        pytest.param(code, entry, id=code)
        for code, entry in catalogue().items()
        if entry.playbook or entry.inventory
    ],
)
def test_an_example_gives_its_code_and_what_it_says_is_printed(
    code: str, entry: Entry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("inventory.yml").write_text(entry.inventory or INVENTORY)
    Path("playbook.yml").write_text(entry.playbook or PLAYBOOK)
    try:
        project = load(Selection((Path("playbook.yml"),), (Path("inventory.yml"),)))
        found = [(note.code, note.message) for each in project.fleet.catalogs.values() for note in each.notes]
    except ConfigError as error:
        found = [(problem.code, str(problem)) for problem in error.problems]
    assert found == [(code, entry.example)]
