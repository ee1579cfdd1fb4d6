"""A saved plan is for what it was made for, and for the eyes of its maker."""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path
from typing import Any

import pytest

from provision.config.hosts import Host
from provision.config.pace import Portion
from provision.config.problems import ConfigError
from provision.fleet.fleet import Fleet
from provision.project.load import load
from provision.project.project import Project, Selection
from provision.project.saved import COMPILED_AWAY, Saved, fingerprint, restore, save

PLAYBOOK = """
- hosts: all
  packages: [git]
  files:
    /etc/a: {content: {command: [pass, one]}}
    /etc/b: {content: hidden, secret: true}
"""
INVENTORY = """
hosts:
  box: {address: 192.0.2.1, user: root}
  inside: {connection: container, container: one, on: box}
"""


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "i.yml").write_text(INVENTORY)
    (tmp_path / "p.yml").write_text(PLAYBOOK)
    monkeypatch.chdir(tmp_path)
    return tmp_path


CHOSEN = Selection((Path("p.yml"),), (Path("i.yml"),), extra={"word": "sesame"})


def changed(value: Any) -> Any:
    """Return another value of the same sort."""
    if isinstance(value, bool):
        return not value
    if isinstance(value, int):
        return value + 1
    if isinstance(value, (list, tuple)):
        return [*value, "more"]
    return f"{value or ''}x"


def test_a_plan_of_a_container_that_has_yet_to_be_created_is_not_saved(here: Path) -> None:
    with pytest.raises(ConfigError, match=r"x\.plan: the plan of inside cannot be saved: apply first"):
        save(here / "x.plan", Saved(load(CHOSEN), {"box": "digest"}))
    assert not (here / "x.plan").exists()


@pytest.mark.parametrize("name", sorted({field.name for field in dataclasses.fields(Host)} - COMPILED_AWAY))
@pytest.mark.parametrize("where", ["the host", "the host of a container"])
def test_every_field_of_a_host_counts(here: Path, name: str, where: str) -> None:
    project = load(CHOSEN)
    inside = project.fleet.catalogs["inside"]
    project.fleet = Fleet.of({"inside": inside})
    if name == "on":
        project.hosts["boxx"] = project.hosts["x"] = project.hosts["box"]
    before = fingerprint(project)
    host = inside.host if where == "the host" else project.hosts["box"]
    other = dataclasses.replace(host, **{name: changed(getattr(host, name))})
    if where == "the host":
        inside.host = other
    else:
        project.hosts["box"] = other
    assert fingerprint(project) != before


@pytest.mark.parametrize(
    ("old", "new"),
    [("[pass, one]", "[pass, two]"), ("hidden", "hidden too"), ("[git]", "[git, jq]"), ("/etc/b", "/etc/c")],
)
def test_what_is_declared_counts(here: Path, old: str, new: str) -> None:
    before = fingerprint(load(CHOSEN))
    (here / "p.yml").write_text("# a comment\n" + PLAYBOOK)
    assert fingerprint(load(CHOSEN)) == before
    (here / "p.yml").write_text(PLAYBOOK.replace(old, new))
    assert fingerprint(load(CHOSEN)) != before


def saved(path: Path) -> Project:
    project = load(CHOSEN)
    save(path, Saved(project, dict.fromkeys(project.host_names, "digest")))
    assert b"sesame" in path.read_bytes()
    assert path.lstat().st_mode & 0o7777 == 0o600
    assert path.is_file()
    assert sorted(each.name for each in path.parent.iterdir() if each.name.startswith(".")) == []
    return project


def test_only_its_maker_can_read_it_whatever_was_there(here: Path) -> None:
    saved(here / "new")
    (here / "open").write_text("old")
    (here / "open").chmod(0o666)
    with (here / "open").open() as reader:
        saved(here / "open")
        # Whoever has opened the former file does not get to read the plan.
        assert reader.read() == "old"
    (here / "target").write_text("of somebody")
    (here / "link").symlink_to("target")
    saved(here / "link")
    assert (here / "target").read_text() == "of somebody"
    assert not (here / "link").is_symlink()
    (here / "dangling").symlink_to("nowhere")
    saved(here / "dangling")
    assert not (here / "nowhere").exists()
    shared = here / "shared"
    shared.mkdir()
    shared.chmod(0o1777)
    saved(shared / "plan")


def test_nothing_but_a_file_is_replaced(here: Path) -> None:
    project = load(CHOSEN)
    (here / "out").symlink_to("/proc/self/fd/1")
    os.mkfifo(here / "pipe")
    for name in ("out", "pipe", "."):
        with pytest.raises(OSError, match="regular file"):
            save(here / name, Saved(project, dict.fromkeys(project.host_names, "digest")))
    assert (here / "out").is_symlink()


def test_it_is_taken_while_nothing_has_changed(here: Path) -> None:
    project = load(CHOSEN)
    planned = Saved(project, {"box": "x", "inside": "y"}, ["gpu-taken"], True, Portion.read("25%"))
    save(here / "plan", planned)
    found = restore(here / "plan")
    assert found._replace(project=project) == planned
    assert found.project.selection == CHOSEN
    assert found.project.host_names == project.host_names
