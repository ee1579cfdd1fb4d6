"""Commands that follow changes, and files that must not be there, in whole runs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from provision.host.machine import Machine
from provision.host.state import owed
from provision.wire.specs.command import CommandSpec
from provision.wire.specs.file import FileSpec
from tests.host import asked, heard
from tests.host.entries import entry

ID = "command:reload"


class Box:
    """A host with a file and a command that follows it."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.content = "one\n"
        argv = ["sh", "-c", f"echo ran >>{root}/log"]
        self.command = CommandSpec(name="reload", argv=argv, when_changed=True)
        self.events: list[dict[str, Any]] = []

    def run(self, verb: str) -> dict[str, Any]:
        path = f"{self.root}/daemon.json"
        file = FileSpec(path=path, content=self.content)
        resources = [
            entry(f"file:{path}", file, playbook="box", label=path, followers={ID: []}),
            entry(ID, self.command, playbook="box", needs=[f"file:{path}"]),
        ]
        self.events.clear()
        machine = Machine(heard.into(self.events), str(self.root / "state"))
        return asked.carry_out(machine, verb, resources).plain()

    def seen(self) -> dict[str, Any]:
        return next(event for event in self.events if event.get("event") == "inspected" and event["id"] == ID)

    @property
    def runs(self) -> int:
        log = self.root / "log"
        return len(log.read_text().splitlines()) if log.exists() else 0


@pytest.fixture
def box(tmp_path: Path) -> Box:
    return Box(tmp_path)


def test_it_runs_after_each_change_and_only_then(box: Box) -> None:
    box.run("inspect")
    assert box.seen()["work"] == {"because": [f"{box.root}/daemon.json"]}
    assert not (box.root / "state").exists()
    assert box.run("apply")["counts"]["changed"] == 2
    assert box.runs == 1
    assert box.run("apply")["counts"] == {"ok": 2, "changed": 0, "failed": 0, "skipped": 0}
    box.content = "two\n"
    box.run("apply")
    assert box.runs == 2
    (box.root / "daemon.json").chmod(0o600)  # what it has read is the same
    assert box.run("apply")["counts"]["changed"] == 1
    assert box.runs == 2


def test_it_is_owed_until_it_has_succeeded(box: Box) -> None:
    argv = ["sh", "-c", f"echo ran >>{box.root}/log; test -e {box.root}/ready"]
    box.command = box.command.replace(argv=argv)
    assert box.run("apply")["counts"]["failed"] == 1
    box.run("inspect")
    assert box.seen()["work"] == {"because": [f"{box.root}/daemon.json"]}
    assert box.run("apply")["counts"]["failed"] == 1
    (box.root / "ready").touch()
    assert box.run("apply")["counts"]["changed"] == 1
    assert box.runs == 3
    assert box.run("apply")["counts"]["changed"] == 0


def test_a_kill_between_change_and_command_loses_nothing(box: Box) -> None:
    box.run("apply")
    owed.run(str(box.root / "state"), ID).need("something")  # what such a run leaves
    assert box.run("apply")["counts"]["changed"] == 1
    assert box.runs == 2


def test_a_change_that_did_not_come_about_owes_nothing(box: Box) -> None:
    box.run("apply")
    box.content = "two\n"
    log = box.root / "log"
    runs = log.read_text()
    (box.root / "daemon.json").unlink()
    (box.root / "daemon.json").mkdir()
    assert box.run("apply")["counts"]["failed"] == 1
    assert log.read_text() == runs
    assert owed.run(str(box.root / "state"), ID).read() is None


def test_with_creates_it_runs_when_that_is_missing_too(box: Box) -> None:
    made = box.root / "made"
    argv = ["sh", "-c", f"echo ran >>{box.root}/log; touch {made}"]
    box.command = box.command.replace(argv=argv, creates=str(made))
    box.run("apply")
    assert box.run("apply")["counts"]["changed"] == 0
    made.unlink()
    box.run("apply")
    box.content = "two\n"
    box.run("apply")
    assert box.runs == 3


def test_what_it_is_given_as_a_secret_is_not_told(box: Box) -> None:
    argv = ["sh", "-c", 'echo "is $T"; false']
    box.command = box.command.replace(argv=argv, env={"T": "sesame-81"}, secrets=["T"])
    box.run("apply")
    told = json.dumps(box.events)
    assert "is ***" in told
    assert "sesame-81" not in told
    assert all(
        "sesame-81" not in path.read_text() for path in (box.root / "state").rglob("*") if path.is_file()
    )


def test_removing_forgets_what_is_owed(box: Box) -> None:
    box.run("apply")
    owed.run(str(box.root / "state"), ID).need("something")
    box.run("remove")
    assert owed.run(str(box.root / "state"), ID).read() is None
    assert box.runs == 1


def test_a_file_that_must_not_be_there(tmp_path: Path) -> None:
    path = tmp_path / "old.conf"
    path.write_text("old\n")

    def run(verb: str) -> dict[str, Any]:
        absent = entry(f"file:{path}", FileSpec(path=str(path), content="", absent=True), playbook="box")
        machine = Machine(lambda event: None, str(tmp_path / "state"))
        return asked.carry_out(machine, verb, [absent]).plain()

    assert run("apply")["counts"]["changed"] == 1
    assert not path.exists()
    assert run("apply")["counts"]["changed"] == 0
    path.symlink_to("nowhere")
    assert run("apply")["counts"]["changed"] == 1
    path.write_text("of somebody else\n")
    run("remove")
    assert path.exists()
    path.unlink()
    path.mkdir()
    assert run("inspect")["ok"] is False
