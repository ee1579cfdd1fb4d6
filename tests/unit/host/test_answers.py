"""When an answer of a program that was asked about its arguments still holds."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from provision.host.services import answers
from provision.wire.finding import Finding


class Box:
    """An environment and a model, as far as an answer depends on them."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.site = root / "env/lib/python3.11/site-packages"
        self.install("vllm-0.32.0")
        self.model = root / "model"
        self.model.mkdir()
        (self.model / "config.json").write_text("{}")

    def install(self, name: str) -> None:
        metadata = self.site / f"{name}.dist-info"
        metadata.mkdir(parents=True, exist_ok=True)
        (metadata / "RECORD").write_text(name)

    def question(self, *arguments: str, variable: str = "A=b") -> str | None:
        program = [f"{self.root}/env/bin/python", "-c", "ask"]
        return answers.question(program, ["--model", str(self.model), *arguments], [variable])


@pytest.fixture
def box(tmp_path: Path) -> Box:
    return Box(tmp_path)


def test_the_same_question_is_the_same(box: Box) -> None:
    assert box.question("--port", "1") == box.question("--port", "1") is not None


@pytest.mark.parametrize(
    "change",
    [
        lambda box: box.install("numpy-2.0"),
        lambda box: os.utime(box.site / "vllm-0.32.0.dist-info/RECORD", (1, 1)),
        lambda box: (box.model / "config.json").write_text("{}\n"),
        lambda box: (box.model / "config.json").unlink(),
        lambda box: (box.model / "config.json").chmod(0o600),
        lambda box: (box.model / "vocab.txt").write_text("a"),
    ],
    ids=["installed", "reinstalled", "changed", "removed", "unreadable", "added"],
)
def test_another_environment_or_model_makes_it_another(box: Box, change: Callable[[Box], object]) -> None:
    before = box.question()
    change(box)
    assert box.question() not in (before, None)


def test_files_that_arguments_name_in_any_way_count(box: Box) -> None:
    adapter = box.root / "adapter"
    words = (f"a={adapter}", f'{{"model": "{adapter}"}}', f"--chat-template={adapter}")
    before = [box.question(word) for word in words]
    adapter.write_text("new")
    after = [box.question(word) for word in words]
    assert not set(before) & set(after)


def test_other_arguments_and_variables_make_it_another(box: Box) -> None:
    assert len({box.question(), box.question("--port", "1"), box.question(variable="A=c")}) == 3


@pytest.mark.parametrize(
    ("name", "text"), [("__editable__.vllm.pth", "/src/vllm\n"), ("vllm.egg-link", "/src/vllm\n.")]
)
def test_packages_elsewhere_may_change_unseen_so_no_answer_holds(box: Box, name: str, text: str) -> None:
    (box.site / name).write_text(text)
    assert box.question() is None


def test_packages_of_the_system_may_change_unseen_too(box: Box) -> None:
    (box.root / "env/pyvenv.cfg").write_text("include-system-site-packages = true\n")
    assert box.question() is None


def test_a_pth_file_that_only_imports_changes_nothing(box: Box) -> None:
    (box.site / "hook.pth").write_text("# a comment\nimport hook\n")
    assert box.question() is not None


def test_what_is_kept_is_what_was_answered(tmp_path: Path) -> None:
    state, no = str(tmp_path), Finding(code="arguments-refused", message="no", hint="h", log=["line"])
    assert answers.kept(state, "r1", "q") == (False, None)
    answers.keep(state, "r1", "q", no)
    answers.keep(state, "r1", "p", None)
    answers.keep(state, "r1", None, no)
    assert answers.kept(state, "r1", "q") == (True, no)
    assert answers.kept(state, "r1", "p") == (True, None)
    assert answers.kept(state, "r1", None) == (False, None)
    assert answers.kept(state, "other", "q") == (False, None)


def test_only_the_last_answers_are_kept(tmp_path: Path) -> None:
    for number in range(answers.KEPT + 1):
        answers.keep(str(tmp_path), "r1", f"q{number}", None)
    assert [answers.kept(str(tmp_path), "r1", f"q{number}")[0] for number in (0, 1)] == [False, True]


def test_a_damaged_file_counts_as_no_answers(tmp_path: Path) -> None:
    answers.keep(str(tmp_path), "r1", "q", None)
    (tmp_path / "answers/r1").write_text("{")
    assert answers.kept(str(tmp_path), "r1", "q") == (False, None)
