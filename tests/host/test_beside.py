"""Environments side by side, with the real pip and uv: what is new is beside what was, and what was goes."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from provision.catalog.environments import digest
from provision.host.machine import Machine
from provision.host.python.look import MANIFEST, MARKER
from provision.wire.specs.environment import EnvironmentSpec
from provision.wire.specs.file import FileSpec
from tests.host import asked, heard
from tests.host.entries import entry
from tests.host.test_environment import requirement
from tests.host.wheels import index


@pytest.fixture(scope="session")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny wheels, and uv itself as this machine's own index has it."""
    directory = index(tmp_path_factory.mktemp("index") / "wheels")
    argv = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "-d", str(directory), "uv>=0.8"]
    subprocess.run(argv, check=True)
    return directory


class Box:
    """An environment of one package, and a script that names it."""

    def __init__(self, root: Path, wheels: Path) -> None:
        self.root = root
        self.stem = root / "environments/e"
        self.script = root / "start.sh"
        self.wheels = wheels
        self.packages = ["demo-alpha==1.0"]
        self.installer = "pip"
        self.former_version = False
        self.events: list[dict[str, Any]] = []

    @property
    def spec(self) -> EnvironmentSpec:
        spec = EnvironmentSpec(
            path=str(self.stem),
            requirements=[requirement(raw) for raw in self.packages],
            index_url="file:///nonexistent/simple",
            find_links=[str(self.wheels)],
            installer=self.installer,
        )
        if self.former_version:
            return spec
        return spec.replace(path=f"{self.stem}-{digest(spec)}", stem=str(self.stem))

    def resources(self) -> Iterable[dict[str, Any]]:
        spec = self.spec
        start = FileSpec(path=str(self.script), mode="0755", content=f"exec {spec.path}/bin/python\n")
        return [
            entry("environment:e", spec),
            entry(f"file:{self.script}", start, needs=["environment:e"]),
        ]

    def run(self, verb: str, **options: Any) -> dict[str, Any]:
        self.events.clear()
        machine = Machine(heard.into(self.events), str(self.root / "state"))
        options = {"playbooks": ["site"], "state": machine.state, **options}
        return asked.carry_out(machine, verb, self.resources(), **options).plain()

    def apply(self) -> int:
        done = self.run("apply")
        assert done["ok"], self.events
        changed: int = done["counts"]["changed"]
        return changed

    def differing(self) -> list[str]:
        self.run("inspect")
        return [event["id"] for event in self.events if event["event"] == "inspected" and event["changes"]]

    def keep(self) -> Path:
        """Have a service that can go back to this environment."""
        note = self.root / "state/revisions/s"
        note.parent.mkdir(exist_ok=True)
        note.write_text(json.dumps({"kept": [{"number": 1, "directories": [self.spec.path]}]}))
        return note

    @property
    def directories(self) -> set[str]:
        found = self.stem.parent.iterdir()
        return {each.name for each in found if not each.is_symlink() and not each.name.startswith(".")}

    @property
    def name(self) -> str:
        return os.path.basename(self.spec.path)


@pytest.fixture
def box(tmp_path: Path, wheels: Path) -> Box:
    return Box(tmp_path, wheels)


def test_what_is_half_made_is_made_anew(box: Box) -> None:
    path = Path(box.spec.path)
    box.apply()
    (path / MANIFEST).unlink()
    (path / MARKER).write_text(f"{box.stem}\n")
    (site,) = path.glob("lib/*/site-packages")
    (site / "demo_alpha/__init__.py").write_bytes(b"\0" * 16)  # of the right length: power was lost
    (site / "stray.py").touch()
    box.apply()
    assert (site / "demo_alpha/__init__.py").read_text() == "version = '1.0'\n"
    assert not (site / "stray.py").exists()
    assert box.differing() == []


def test_a_failed_installation_is_beside_what_was_there(box: Box) -> None:
    box.apply()
    first, script = box.name, box.script.read_text()
    box.packages = ["demo-alpha==7.0"]
    assert not box.run("apply")["ok"]
    assert box.script.read_text() == script
    assert box.directories == {first, box.name}
    assert os.readlink(box.stem) == first
    box.packages = ["demo-alpha==1.0"]
    assert box.apply() == 0
    assert box.directories == {first}


def test_what_no_service_can_go_back_to_goes(box: Box) -> None:
    names = []
    for packages in (["demo-alpha==1.0"], ["demo-alpha==2.0"]):
        box.packages = packages
        box.apply()
        names.append(box.name)
    assert box.directories == set(names[1:])
    assert os.readlink(box.stem) == names[-1]
    (removed,) = [event for event in box.events if event.get("code") == "environment-removed"]
    assert names[0] in json.dumps(removed)


def test_one_that_a_process_runs_from_stays(box: Box) -> None:
    box.apply()
    first = box.spec.path
    argv = [f"{first}/bin/python", "-c", "input()"]
    with subprocess.Popen(argv, stdin=subprocess.PIPE) as running:
        for package in ("demo-beta==1.0", "demo-beta==1.5"):
            box.packages = [package]
            box.apply()
        assert os.path.exists(first)
        running.communicate(b"\n")
    box.apply()
    assert not os.path.exists(first)


def test_remove_takes_all_of_them_away(box: Box) -> None:
    box.apply()
    box.keep()
    box.packages = ["demo-alpha==2.0"]
    box.apply()
    assert len(box.directories) == 2
    assert box.run("remove")["ok"]
    assert list(box.stem.parent.iterdir()) == []


def test_a_directory_of_somebody_else_is_left_alone(box: Box) -> None:
    other = box.stem.with_name("e-2")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(other)], check=True)
    box.apply()
    box.run("remove")
    assert (other / "pyvenv.cfg").exists()


# -- what an older version has made --------------------------------------------------------------------------


@pytest.fixture
def older(box: Box) -> Box:
    """A host whose environment a version before these has made."""
    box.former_version = True
    box.apply()
    box.former_version = False
    manifest = box.stem / MANIFEST
    said = json.loads(manifest.read_text())
    manifest.write_text(json.dumps({key: said[key] for key in said if key not in ("of", "bytes")}))
    return box


def test_it_stays_in_use_until_its_packages_change(older: Box) -> None:
    script = older.script.read_text()
    assert older.differing() == []
    assert older.apply() == 0
    assert older.script.read_text() == script
    assert older.directories == {"e"}
    older.packages = ["demo-alpha>=1.0", "demo-beta"]  # which are there
    assert older.differing() == []
    older.packages = ["demo-alpha==2.0"]
    older.apply()
    assert older.directories == {older.name}
    assert older.script.read_text() == f"exec {older.spec.path}/bin/python\n"
    assert os.readlink(older.stem) == older.name


def test_what_differs_in_it_is_made_right_beside_it(older: Box) -> None:
    shutil.rmtree(next(older.stem.glob("lib/*/site-packages/demo_gamma")))
    older.apply()
    assert older.directories == {older.name}


def test_remove_takes_it_away(older: Box) -> None:
    older.apply()
    assert older.run("remove")["ok"]
    assert not older.stem.exists()


# -- what it costs -------------------------------------------------------------------------------------------


def test_uv_links_what_both_have(box: Box) -> None:
    box.installer = "uv"
    box.packages = ["demo-alpha==1.0", "demo-heavy"]
    box.apply()
    kept = box.keep()
    first = Path(box.spec.path)
    box.packages = ["demo-alpha==2.0", "demo-heavy"]
    box.apply()
    second = Path(box.spec.path)
    (part,) = second.glob("lib/*/site-packages/demo_heavy/part100.py")
    assert part.samefile(first / part.relative_to(second))
    kept.unlink()
    cache = box.stem.parent / ".cache"
    assert cache.stat().st_mode & 0o777 == 0o700
    # Once no environment has it any more, it is in no cache either; and comes again when it is asked for.
    box.packages = ["demo-alpha==2.0"]
    box.apply()
    assert not [*cache.glob("archive-*/*/demo_heavy")]
    box.packages = ["demo-alpha==2.0", "demo-heavy"]
    box.apply()
    assert box.differing() == []
