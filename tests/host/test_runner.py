"""A whole run on this machine: real files, a real process, a real server that answers."""

from __future__ import annotations

import fcntl
import json
import os
import shlex
import sys
import threading
import time
import venv
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from provision.host.failure import Failure
from provision.host.machine import Machine
from provision.host.state import owed
from provision.host.state.ledger import Ledger
from provision.host.state.lock import lock_path
from provision.wire.checks import Chat
from provision.wire.events import Event, Waiting
from provision.wire.server import Preflight
from provision.wire.spec import Spec
from provision.wire.specs.command import CommandSpec
from provision.wire.specs.directory import DirectorySpec
from provision.wire.specs.file import FileSpec
from provision.wire.specs.model import ModelSpec
from provision.wire.specs.probe import ProbeSpec
from provision.wire.specs.process import ProcessSpec
from tests.host import asked, heard
from tests.host.entries import entry
from tests.host.services import SERVER, free_port


class Box:
    """A prefix with one script-supervised service, converged by requests like the controller's."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.state = str(root / "state")
        self.port = free_port()
        self.greeting = "hello"
        self.extra: list[dict[str, Any]] = []
        self.script_needs: list[str] = []
        self.with_service = True
        self.preflight: Preflight | None = None

    def resources(self) -> list[dict[str, Any]]:
        service = "tiny"
        script = f"{self.root}/services/tiny/start.sh"
        command = shlex.join([sys.executable, str(SERVER), str(self.port)])
        found = [*self.extra]
        if self.with_service:
            found += [
                self.entry(
                    "directory",
                    f"{self.root}/services",
                    DirectorySpec(path=f"{self.root}/services", mode="0755"),
                ),
                self.entry(
                    "directory",
                    f"{self.root}/services/tiny",
                    DirectorySpec(path=f"{self.root}/services/tiny", mode="0755"),
                    needs=[f"directory:{self.root}/services"],
                ),
                self.entry(
                    "file",
                    script,
                    FileSpec(
                        path=script,
                        content=f"#!/bin/sh\n# {self.greeting}\nexec {command}\n",
                        mode="0755",
                    ),
                    needs=[f"directory:{self.root}/services/tiny", *self.script_needs],
                    triggers=[service],
                    service=service,
                ),
                self.entry(
                    "process",
                    service,
                    ProcessSpec(
                        service=service,
                        script=script,
                        directory=str(self.root),
                        log=f"{self.root}/logs/tiny.log",
                        pid_file=f"{self.root}/run/tiny.pid",
                        stop_timeout=20,
                        port=self.port,
                        bind="127.0.0.1",
                        preflight=self.preflight,
                    ),
                    needs=[f"file:{script}"],
                    service=service,
                ),
                self.entry(
                    "probe",
                    service,
                    ProbeSpec(
                        service=service,
                        log=f"{self.root}/logs/tiny.log",
                        pid_file=f"{self.root}/run/tiny.pid",
                        health=True,
                        url=f"http://127.0.0.1:{self.port}",
                        model="tiny",
                        key_field="api_key",
                        checks=[Chat(user="hi", max_tokens=4)],
                        timeout=120,
                    ),
                    needs=[f"process:{service}"],
                    service=service,
                ),
            ]
        return found

    @staticmethod
    def entry(type: str, name: str, spec: Spec, **more: Any) -> dict[str, Any]:
        return entry(f"{type}:{name}", spec, playbook="box", label=f"{type} {name}", **more)

    def file(self, name: str, content: str = "x\n", **more: Any) -> dict[str, Any]:
        path = f"{self.root}/{name}"
        return self.entry("file", path, FileSpec(path=path, content=content), **more)

    def run(self, verb: str, **options: Any) -> tuple[dict[str, Any], list[dict[str, Any]]]:
        events: list[dict[str, Any]] = []
        machine = Machine(heard.into(events), self.state)
        return asked.carry_out(machine, verb, self.resources(), **options).plain(), events

    def apply(self, **options: Any) -> dict[str, int]:
        summary, events = self.run("apply", **options)
        problems = [event for event in events if event.get("error")]
        assert summary["ok"], problems
        return summary["counts"]

    def plan(self, **options: Any) -> list[str]:
        """Return the ids of what differs."""
        _, events = self.run("inspect", **options)
        return [event["id"] for event in events if event["event"] == "inspected" and event["changes"]]

    @property
    def script(self) -> Path:
        return self.root / "services/tiny/start.sh"

    @property
    def pid(self) -> int:
        return int((self.root / "run/tiny.pid").read_text().split()[0])


@pytest.fixture
def box(tmp_path: Path) -> Iterator[Box]:
    box = Box(tmp_path / "prefix")
    box.root.mkdir()
    yield box
    box.with_service, box.extra = True, []
    if os.path.isdir(box.state):
        box.run("remove")


def lives(pid: int) -> bool:
    """Whether a process runs; our own dead children stay in /proc until somebody asks for them."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def statuses(events: list[dict[str, Any]]) -> dict[str, str]:
    return {event["id"]: event["status"] for event in events if event["event"] == "result"}


def test_a_plan_changes_nothing_and_an_apply_does_it_once(box: Box) -> None:
    assert len(box.plan()) == 5
    assert list(box.root.iterdir()) == []

    assert box.apply() == {"ok": 0, "changed": 5, "failed": 0, "skipped": 0}
    pid = box.pid

    assert box.plan() == []
    assert box.apply() == {"ok": 5, "changed": 0, "failed": 0, "skipped": 0}
    assert box.pid == pid


def test_a_changed_script_restarts_its_service_and_nothing_else_happens(box: Box) -> None:
    box.apply()
    pid = box.pid
    box.greeting = "good evening"

    summary, events = box.run("inspect")
    restarts = [event for event in events if event["event"] == "restart"]
    assert [(event["service"], event["because"]) for event in restarts] == [("tiny", [f"file:{box.script}"])]
    assert summary["counts"]["changed"] == 3

    assert box.apply() == {"ok": 2, "changed": 3, "failed": 0, "skipped": 0}
    assert box.pid != pid
    assert box.plan() == []


def test_what_is_changed_behind_our_back_is_seen_and_mended(box: Box) -> None:
    box.apply()
    pid = box.pid
    box.script.chmod(0o777)
    assert f"file:{box.script}" in box.plan()
    assert box.apply()["changed"] == 1
    assert box.script.stat().st_mode & 0o7777 == 0o755
    assert box.plan() == []
    assert box.pid == pid

    os.kill(box.pid, 9)
    deadline = time.monotonic() + 120
    while box.plan() == [] and time.monotonic() < deadline:
        time.sleep(0.05)
    assert box.plan() == ["process:tiny", "probe:tiny"]
    box.apply()
    assert box.pid != pid
    assert box.plan() == []


def test_a_restart_survives_a_crash_between_change_and_restart(box: Box) -> None:
    box.apply()
    pid = box.pid
    owed.restart(box.state, "tiny").need("file:x")

    assert box.plan() == ["process:tiny", "probe:tiny"]
    box.apply()
    assert box.pid != pid
    assert owed.restart(box.state, "tiny").read() is None


def _broken(box: Box) -> CommandSpec:
    return CommandSpec(name="broken", argv=["false"], creates=f"{box.root}/never")


def test_a_failure_skips_what_needs_it_and_leaves_the_service_running(box: Box) -> None:
    box.apply()
    pid = box.pid
    box.greeting = "new"
    box.extra = [
        box.entry("command", "broken", _broken(box)),
        box.file("unrelated"),
    ]
    box.script_needs = ["command:broken"]

    summary, events = box.run("apply")

    assert not summary["ok"]
    status = statuses(events)
    assert status["command:broken"] == "failed"
    assert status[f"file:{box.script}"] == status["process:tiny"] == status["probe:tiny"] == "skipped"
    assert status[f"file:{box.root}/unrelated"] == "changed"
    assert box.pid == pid
    assert "hello" in box.script.read_text()


def test_a_model_that_is_not_there_stops_what_needs_it_before_it_changes(box: Box) -> None:
    box.apply()
    pid, script = box.pid, box.script.read_text()
    path = str(box.root / "nowhere")
    spec = ModelSpec(path=path, source="path", repo=path)
    box.extra, box.script_needs = [box.entry("model", "m", spec)], ["model:m"]
    box.greeting = "changed"

    events = box.run("inspect")[1]
    (planned,) = (event for event in events if event.get("id") == "model:m")
    assert planned["error"] == f"{box.root}/nowhere does not exist on this host"
    summary, _ = box.run("apply")

    assert not summary["ok"]
    assert box.script.read_text() == script
    assert box.pid == pid
    assert lives(pid)


def test_a_failed_change_that_changed_nothing_owes_no_restart(box: Box) -> None:
    box.apply()
    box.extra = [
        box.entry(
            "command",
            "broken",
            _broken(box),
            triggers=["tiny"],
        )
    ]
    summary, _ = box.run("apply")
    assert not summary["ok"]
    assert owed.restart(box.state, "tiny").read() is None
    box.extra = []
    assert box.plan() == []


def test_what_left_the_playbook_is_an_orphan_until_it_is_pruned(box: Box) -> None:
    box.extra = [box.file("old.conf")]
    box.apply()
    box.extra = []
    box.with_service = False

    summary, events = box.run("inspect")
    orphans = {event["service"]: event["ids"] for event in events if event["event"] == "orphan"}
    assert set(orphans) == {"tiny", None}
    assert f"file:{box.root}/old.conf" in orphans[None]
    assert summary["orphans"] == 6

    box.apply()
    assert (box.root / "old.conf").exists()

    pid = box.pid
    box.apply(prune=True)
    assert not (box.root / "old.conf").exists()
    assert not box.script.exists()
    assert not lives(pid)
    _, events = box.run("inspect")
    assert not [event for event in events if event["event"] == "orphan"]


def test_a_partial_run_finds_no_orphans(box: Box) -> None:
    box.apply()
    box.with_service = False
    _, events = box.run("inspect", partial=True)
    assert not [event for event in events if event["event"] == "orphan"]


def test_remove_takes_what_was_made_and_leaves_what_was_found(box: Box) -> None:
    found = box.root / "found.conf"
    found.write_text("mine\n")
    box.extra = [box.file("found.conf", "ours\n"), box.file("made.conf")]
    box.apply()
    pid = box.pid

    summary, events = box.run("remove")

    assert summary["ok"]
    assert found.exists()
    assert [event["kept"] for event in events if event.get("id") == f"file:{found}"] == ["was there before"]
    assert not (box.root / "made.conf").exists()
    assert not (box.root / "services").exists()
    assert not lives(pid)
    assert not os.path.exists(box.state)


def test_remove_leaves_nothing_of_a_prefix_of_ours(box: Box) -> None:
    box.root.rmdir()
    box.with_service = False
    root = DirectorySpec(path=str(box.root), mode="0755")
    box.extra = [box.entry("directory", str(box.root), root), box.file("a.conf")]
    digest = box.run("inspect")[0]["digest"]
    assert box.apply(digest=digest)["changed"] == 2
    box.run("remove")
    assert not box.root.exists()


def test_what_another_playbook_wants_stays(box: Box) -> None:
    box.with_service = False
    shared = box.file("shared.conf", playbooks=["asr", "box"])
    box.extra = [shared, box.file("own.conf")]
    box.apply()

    box.run("remove", playbooks=["box"])
    assert (box.root / "shared.conf").exists()
    assert not (box.root / "own.conf").exists()
    assert Ledger(box.state).entries[shared["id"]]["playbooks"] == ["asr"]

    box.run("remove", playbooks=["asr"])
    assert not (box.root / "shared.conf").exists()


def test_a_saved_plan_is_refused_when_the_host_has_moved_on(box: Box) -> None:
    box.with_service = False
    box.extra = [box.file("a.conf")]
    digest = box.run("inspect")[0]["digest"]
    (box.root / "a.conf").write_text("by hand\n")
    with pytest.raises(Failure, match="has changed since the plan"):
        box.run("apply", digest=digest)
    assert (box.root / "a.conf").read_text() == "by hand\n"
    box.apply(digest=box.run("inspect")[0]["digest"])


def test_two_runs_wait_for_each_other(box: Box) -> None:
    box.with_service = False
    box.extra = [box.file("a.conf")]
    box.apply()
    box.extra = [box.file("b.conf")]
    with open(lock_path(box.state), "r+") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        waits = threading.Event()

        def hear(event: Event) -> None:
            if isinstance(event, Waiting) and event.locked:
                waits.set()

        there = Machine(hear, box.state)
        second = threading.Thread(target=asked.carry_out, args=(there, "apply", box.resources()))
        second.start()
        assert waits.wait(120)
        assert not (box.root / "b.conf").exists()
    second.join()
    assert (box.root / "b.conf").exists()


def test_a_cancelled_run_stops_and_says_what_it_did_not_do(box: Box) -> None:
    box.with_service = False
    begun = box.root / "begun"
    argv = ["sh", "-c", f"touch {begun}; exec sleep 600"]
    slow = box.entry("command", "slow", CommandSpec(name="slow", argv=argv, creates=f"{box.root}/x"))
    box.extra = [slow, box.file("after.conf", needs=["command:slow"])]
    events: list[dict[str, Any]] = []
    machine = Machine(heard.into(events), box.state)

    def cancel() -> None:
        while not begun.exists():
            time.sleep(0.05)
        machine.cancel()

    threading.Thread(target=cancel, daemon=True).start()
    began = time.monotonic()

    done = asked.carry_out(machine, "apply", box.resources())

    assert time.monotonic() - began < 300
    assert not done.ok
    assert statuses(events) == {"command:slow": "failed", f"file:{box.root}/after.conf": "skipped"}
    (skipped,) = [event for event in events if event.get("status") == "skipped"]
    assert skipped["error"] == "needs command slow, which failed"


def test_independent_work_runs_at_the_same_time(box: Box) -> None:
    box.with_service = False
    ready = [f"{box.root}/a", f"{box.root}/b"]
    # Each waits for the other's file: one after the other, neither would ever end.
    box.extra = [
        box.entry(
            "command",
            mine,
            CommandSpec(
                name=mine,
                argv=[
                    "sh",
                    "-c",
                    f"touch {mine}.on; while ! test -e {other}.on; do sleep 0.05; done; touch {mine}",
                ],
                creates=mine,
                timeout=300,
            ),
        )
        for mine, other in (ready, reversed(ready))
    ]
    assert box.apply()["changed"] == 2


def test_verify_runs_the_checks_of_services_that_did_not_change(box: Box) -> None:
    box.apply()
    summary, events = box.run("apply", verify=True)
    assert summary["ok"]
    assert summary["counts"]["changed"] == 0
    assert [event["service"] for event in events if event["event"] == "proof" and event["ok"]] == ["tiny"]


def asks(code: int, said: str, trace: Path, python: str = sys.executable) -> Preflight:
    """Return a preflight whose program leaves a trace, says something and ends with this code."""
    program = f"import sys; open({str(trace)!r}, 'a').write('asked '); print({said!r}, file=sys.stderr)"
    return Preflight(
        program=[python, "-c", f"{program}; sys.exit({code})"],
        arguments=["--flag"],
        env={"A": "b"},
        user=None,
        timeout=120,
    )


def test_what_would_not_start_leaves_the_running_service_and_its_files_alone(
    box: Box, tmp_path: Path
) -> None:
    trace = tmp_path / "asked"
    box.preflight = asks(2, "server: error: unrecognized arguments: --flag", trace)
    box.apply()
    assert not trace.exists()  # nothing ran that could be spared
    pid, script = box.pid, box.script.read_text()
    box.greeting = "typo"
    summary, events = box.run("apply")
    (failed,) = [event for event in events if event.get("status") == "failed"]
    assert failed["id"] == f"file:{box.script}"
    assert "left running as it is: unrecognized arguments: --flag" in failed["error"]
    assert "--flag" in failed["hint"]
    assert not summary["ok"]
    assert (box.pid, box.script.read_text()) == (pid, script)
    assert owed.restart(box.state, "tiny").read() is None
    assert trace.read_text() == "asked "
    assert f"file:{box.script}" in box.plan()
    box.greeting = "hello"
    box.apply()
    assert box.pid == pid
    assert trace.read_text() == "asked "  # a converged run does not ask


@pytest.mark.parametrize("code", [0, 2])
def test_an_answer_is_kept_until_its_environment_changes(box: Box, tmp_path: Path, code: int) -> None:
    environment, trace = tmp_path / "environment", tmp_path / "asked"
    venv.create(environment, symlinks=True)
    box.preflight = asks(code, "error: --flag", trace, f"{environment}/bin/python")
    box.apply()

    def change(greeting: str) -> str:
        box.greeting = greeting
        summary, events = box.run("apply")
        assert summary["ok"] == (code == 0)
        assert "--flag" in str(events) or code == 0
        return trace.read_text()

    assert change("good morning") == "asked "
    assert change("good evening") == "asked "
    (package,) = environment.glob("lib/python3*/site-packages")
    (package / "new-1.0.dist-info").mkdir()
    assert change("good night") == "asked asked "


def test_a_question_that_cannot_be_put_does_not_stand_in_the_way(box: Box, tmp_path: Path) -> None:
    box.preflight = asks(1, "ImportError: no parser here", tmp_path / "asked")
    box.apply()
    pid = box.pid
    box.greeting = "better"
    summary, events = box.run("apply")
    assert summary["ok"]
    assert box.pid != pid
    notes = [event["line"] for event in events if event["event"] == "output"]
    assert notes == ["not tried out before the restart: ImportError: no parser here"]


def test_the_former_options_of_a_script_are_told_where_it_is_as_it_was_written(box: Box) -> None:
    box.with_service = False
    path = Path(f"{box.root}/start.sh")

    def declare(seed: str, secret: bool = False) -> None:
        options = [["serve"], ["--seed", seed]]
        spec = FileSpec(path=str(path), content=f"serve --seed {seed}\n", options=options, secret=secret)
        box.extra = [box.entry("file", str(path), spec)]

    def told() -> Any:
        _, events = box.run("inspect")
        return next(event for event in events if event["event"] == "inspected")["options"]

    declare("1")
    assert told() is None
    box.apply()
    assert told() is None
    declare("2")
    assert told() == ([["serve"], ["--seed", "1"]], [["serve"], ["--seed", "2"]])
    box.apply()
    path.write_text("serve --seed 3\n")  # by hand
    assert told() is None
    declare("4")
    assert told() is None
    box.apply()
    ledger = Path(box.state) / "ledger.json"
    kept = json.loads(ledger.read_text())
    del kept["resources"][f"file:{path}"]["kept"]  # as an older version wrote it
    ledger.write_text(json.dumps(kept))
    declare("5")
    assert told() is None
    declare("6", secret=True)
    box.apply()
    assert "kept" not in json.loads(ledger.read_text())["resources"][f"file:{path}"]
