"""The commit that playbooks come from, in repositories that the real git has made."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from provision.project.commit import origin


class Repository:
    """A repository with one committed playbook."""

    def __init__(self, top: Path) -> None:
        self.top = top
        self.playbook = top / "playbooks/site.yml"
        self.playbook.parent.mkdir(parents=True)
        self.playbook.write_text("- hosts: all\n")
        (top / "other.txt").write_text("x\n")
        self.git("init", "-q", "-b", "main")
        self.git("add", ".")
        self.git("commit", "-q", "-m", "one")

    def git(self, *arguments: str) -> str:
        settings = ["-c", "user.name=a", "-c", "user.email=a@b", "-c", "commit.gpgsign=false"]
        argv = ["git", *settings, *arguments]
        ended = subprocess.run(argv, cwd=self.top, capture_output=True, text=True, check=True)
        return ended.stdout.strip()

    def dirty(self) -> bool:
        found = origin(self.top, [self.playbook])
        assert found is not None
        assert found.commit == self.git("rev-parse", "HEAD")
        return found.dirty


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    return Repository(tmp_path / "project")


def test_a_clean_work_tree(repository: Repository) -> None:
    assert not repository.dirty()


def test_a_file_that_was_only_touched_is_the_same(repository: Repository) -> None:
    os.utime(repository.playbook, (1, 1))
    assert not repository.dirty()


@pytest.mark.parametrize("version", ["2", "3", "4"])
def test_changed_files(repository: Repository, version: str) -> None:
    repository.git("update-index", "--index-version", version)
    assert not repository.dirty()
    (repository.top / "other.txt").write_text("y\n")
    assert repository.dirty()
    repository.git("checkout", "other.txt")
    assert not repository.dirty()
    (repository.top / "other.txt").unlink()
    assert repository.dirty()


def test_what_is_staged_is_not_committed(repository: Repository) -> None:
    (repository.top / "new.txt").write_text("n\n")
    assert not repository.dirty()  # nothing uses it
    repository.git("add", "new.txt")
    assert repository.dirty()
    repository.git("commit", "-q", "-m", "two")
    assert not repository.dirty()


def test_a_playbook_that_is_not_tracked(repository: Repository) -> None:
    repository.playbook = repository.playbook.with_name("new.yml")
    repository.playbook.write_text("- hosts: all\n")
    assert repository.dirty()


def test_only_the_folder_of_the_project_counts(repository: Repository) -> None:
    (repository.top / "other.txt").write_text("y\n")
    found = origin(repository.top / "playbooks", [repository.playbook])
    assert found is not None
    assert not found.dirty


def test_branches_in_one_file_and_detached(repository: Repository) -> None:
    repository.git("pack-refs", "--all")
    assert not repository.dirty()
    repository.git("checkout", "-q", "--detach")
    assert not repository.dirty()


def test_a_further_work_tree(repository: Repository) -> None:
    repository.git("worktree", "add", "-q", "-b", "side", "../side")
    repository.top = repository.top.with_name("side")
    repository.playbook = repository.top / "playbooks/site.yml"
    assert not repository.dirty()


def test_no_repository_and_no_commit(tmp_path: Path) -> None:
    subprocess.run(["git", "init", "-q", str(tmp_path / "empty")], check=True)
    assert origin(tmp_path / "empty") is None
    assert origin(tmp_path) is None
