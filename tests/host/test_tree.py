"""A program that is copied to the host as a tree of files."""

from __future__ import annotations

from pathlib import Path

from provision.wire.specs.tree import TreeSpec
from tests.host.conftest import Drive


def spec(root: Path, **files: str) -> TreeSpec:
    return TreeSpec(path=str(root / "app"), files={f"p/{name}.py": text for name, text in files.items()})


def test_it_is_written_whole_and_then_left_alone(here: Drive, tmp_path: Path) -> None:
    first = here(spec(tmp_path, a="A\n", b="B\n"))
    assert first["left"] == {}
    assert first["diff"] is None
    assert not any(first["before"].values())
    assert (tmp_path / "app/p/b.py").read_text() == "B\n"
    assert here(spec(tmp_path, a="A\n", b="B\n"))["changes"] == {}


def test_only_what_differs_is_named_and_written(here: Drive, tmp_path: Path) -> None:
    here(spec(tmp_path, a="A\n", b="B\n"))
    untouched = (tmp_path / "app/p/a.py").stat()
    second = here(spec(tmp_path, a="A\n", b="new\n"))
    assert set(second["changes"]) == {"p/b.py"}
    assert "+new" in second["diff"]
    assert (tmp_path / "app/p/a.py").stat().st_ino == untouched.st_ino


def test_a_module_that_is_gone_cannot_be_imported_any_more(here: Drive, tmp_path: Path) -> None:
    here(spec(tmp_path, a="A\n", old="B\n"))
    after = here(spec(tmp_path, a="A\n"))
    assert set(after["changes"]) == {"left over"}
    assert not (tmp_path / "app/p/old.py").exists()


def test_a_hand_edit_and_a_widened_mode_are_mended(here: Drive, tmp_path: Path) -> None:
    here(spec(tmp_path, a="A\n"))
    file = tmp_path / "app/p/a.py"
    file.write_text("by hand\n")
    file.chmod(0o666)
    assert here(spec(tmp_path, a="A\n"))["left"] == {}
    assert file.read_text() == "A\n"
    assert file.stat().st_mode & 0o777 == 0o644


def test_remove_leaves_what_is_not_of_the_program(here: Drive, tmp_path: Path) -> None:
    here(spec(tmp_path, a="A\n"))
    (tmp_path / "app/notes.txt").write_text("mine")
    assert here(spec(tmp_path), verb="remove")["removed"]
    assert [path.name for path in (tmp_path / "app").iterdir()] == ["notes.txt"]
