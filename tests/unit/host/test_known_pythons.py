"""A Python that was asked once is not started again, until something of it is another."""

from __future__ import annotations

import os
import sys
import venv
from pathlib import Path
from typing import Any

import pytest

from provision.host.capture import Completed
from provision.host.machine import Machine
from provision.host.python import interpreters, known


class Counting(Machine):
    starts = 0

    def run(self, *arguments: Any, **options: Any) -> Completed:
        self.starts += 1
        return super().run(*arguments, **options)


@pytest.fixture
def python(tmp_path: Path) -> Path:
    venv.create(tmp_path / "environment")
    return tmp_path / "environment" / "bin" / "python"


def machine(tmp_path: Path, deep: bool = False) -> Counting:
    """Return what a run of its own sees."""
    return Counting(lambda event: None, str(tmp_path / "state"), deep, str(tmp_path))


def look(tmp_path: Path, python: Path, deep: bool = False) -> tuple[str | None, int]:
    """Return the version that is told, and how many processes that took."""
    run = machine(tmp_path, deep)
    found = interpreters.look(run, str(python))
    return found.version if found else None, run.starts


VERSION = "{}.{}.{}".format(*sys.version_info)


def test_asked_once(tmp_path: Path, python: Path) -> None:
    assert look(tmp_path, python) == (VERSION, 1)
    assert look(tmp_path, python) == (VERSION, 0)
    assert look(tmp_path, python, deep=True) == (VERSION, 1)
    found = interpreters.look(machine(tmp_path), str(python))
    assert found
    assert interpreters.satisfies(machine(tmp_path), "python3", found)


def test_whether_it_makes_environments_is_always_asked(tmp_path: Path, python: Path) -> None:
    look(tmp_path, python)
    run = machine(tmp_path)
    assert interpreters.require(run, str(python)).makes_environments
    assert run.starts == 1


def test_another_file_of_it(tmp_path: Path, python: Path) -> None:
    look(tmp_path, python)
    settings = python.parents[1] / "pyvenv.cfg"
    settings.write_text(settings.read_text() + "\n")
    assert look(tmp_path, python) == (VERSION, 1)
    assert look(tmp_path, python) == (VERSION, 0)
    settings.unlink()
    assert look(tmp_path, python) == (VERSION, 1)


def test_the_same_size_and_time_but_another_file(tmp_path: Path, python: Path) -> None:
    look(tmp_path, python)
    settings = python.parents[1] / "pyvenv.cfg"
    was = settings.stat()
    settings.write_text(settings.read_text().replace("include", "INCLUDE"))
    os.utime(settings, ns=(was.st_atime_ns, was.st_mtime_ns))
    assert settings.stat().st_size == was.st_size
    assert look(tmp_path, python) == (VERSION, 1)


def test_a_link_that_leads_elsewhere(tmp_path: Path, python: Path) -> None:
    look(tmp_path, python)
    python.unlink()
    python.symlink_to("/bin/false")
    assert look(tmp_path, python) == (None, 1)
    python.unlink()
    assert look(tmp_path, python) == (None, 1)


def test_a_script_that_chooses_a_python_is_asked_each_time(tmp_path: Path, python: Path) -> None:
    chooser = tmp_path / "chooser"
    chooser.write_text(f'#!/bin/sh\nexec {python} "$@"\n')
    chooser.chmod(0o755)
    assert look(tmp_path, chooser) == look(tmp_path, chooser) == (VERSION, 1)


@pytest.mark.parametrize("text", ["", "{", "[]", '{"version":0,"pythons":{}}', "null", "\0"])
def test_notes_that_cannot_be_read_are_none(tmp_path: Path, python: Path, text: str) -> None:
    (tmp_path / known._FILE).write_text(text)
    assert look(tmp_path, python) == (VERSION, 1)
    assert look(tmp_path, python) == (VERSION, 0)


def test_without_a_place_nothing_is_noted(tmp_path: Path, python: Path) -> None:
    for _ in range(2):
        run = Counting(lambda event: None, str(tmp_path / "state"))
        assert interpreters.look(run, str(python))
        assert run.starts == 1
