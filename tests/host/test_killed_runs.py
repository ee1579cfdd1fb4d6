"""Runs whose host side is killed between making something and noting it: what is ours stays known as ours."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from provision.host.failure import Failure
from provision.host.machine import Machine
from provision.host.resource import Changes
from provision.host.resources.probe import Probe
from provision.host.state import backup, marks, owed, scraps
from provision.host.state.ledger import Ledger
from provision.host.state.revisions import Revisions
from provision.wire.specs.command import CommandSpec
from provision.wire.specs.directory import DirectorySpec
from tests.host import asked
from tests.host.test_runner import Box

RUN = """
import json, sys
from provision.host.machine import Machine
from provision.host.runner import converge
from provision.wire.requests import Request
order = json.load(sys.stdin)
request = Request.parse(order["request"])
converge(Machine(lambda event: None, order["state"]), request, request.asked)
"""


class Killed(BaseException):
    """The run ends here, whatever it has still to do."""


def killed(*_: object) -> None:
    raise Killed


@pytest.fixture
def box_root(tmp_path: Path) -> Path:
    root = tmp_path / "host"
    root.mkdir()
    return root


def apply_in_a_process(box: Box) -> subprocess.Popen[str]:
    """Begin an apply as the host side does, in a process of its own that may be killed."""
    request = asked.request("apply", box.resources()).plain()
    process = subprocess.Popen([sys.executable, "-c", RUN], stdin=subprocess.PIPE, text=True)
    assert process.stdin is not None
    process.stdin.write(json.dumps({"state": box.state, "request": request}))
    process.stdin.close()
    return process


def kill_when(process: subprocess.Popen[str], path: Path, lines: int) -> None:
    """Kill the process when a file has so many lines."""
    kill_once(process, lambda: path.exists() and len(path.read_text().splitlines()) >= lines)


def kill_once(process: subprocess.Popen[str], reached: Callable[[], bool]) -> None:
    """Kill the process as soon as something is so."""
    deadline = time.monotonic() + 120
    while not reached():
        assert process.poll() is None
        assert time.monotonic() < deadline, "it never came so far"
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()


def let_go(fifo: Path) -> None:
    """Let what reads the FIFO go on."""
    os.close(os.open(fifo, os.O_WRONLY))


def outcomes(box: Box) -> list[tuple[str, bool]]:
    """Return how each change of the service ended, and whether it can be gone back to."""
    return [(each.outcome, each.kept) for each in Revisions(box.state, "tiny").history()]


def command(box: Box, **spec: Any) -> dict[str, Any]:
    return box.entry("command", "held", CommandSpec(name="held", timeout=300, **spec))


def test_a_prefix_made_by_a_run_that_was_killed_before_it_noted_anything_is_ours(
    box_root: Path, tmp_path: Path
) -> None:
    box = Box(box_root / "opt" / "deep" / "prefix")
    box.with_service = False
    fifo, seen = tmp_path / "hold", tmp_path / "seen"
    os.mkfifo(fifo)
    # It is asked once to look and once more before it would run: then the state has just been made.
    asked = f"echo asked >>{seen}; [ $(wc -l <{seen}) -lt 2 ] || cat {fifo}; exit 1"
    box.extra = [command(box, argv=["true"], unless=["sh", "-c", asked])]
    kill_when(apply_in_a_process(box), seen, 2)
    let_go(fifo)
    assert os.path.isdir(box.state)

    prefix = DirectorySpec(path=str(box.root), mode="0755")
    box.extra = [box.entry("directory", str(box.root), prefix)]
    box.apply()
    assert Ledger(box.state).entries[f"directory:{box.root}"]["created"] is True
    box.run("remove")
    assert list(box_root.iterdir()) == []


def test_what_was_begun_by_a_run_that_was_killed_is_ours_when_it_is_there(
    box_root: Path, tmp_path: Path
) -> None:
    box = Box(box_root)
    box.with_service = False
    fifo, seen, made = tmp_path / "hold", tmp_path / "seen", tmp_path / "made"
    os.mkfifo(fifo)
    argv = ["sh", "-c", f"touch {made}; echo made >>{seen}; cat {fifo}"]
    box.extra = [command(box, argv=argv, creates=str(made))]
    kill_when(apply_in_a_process(box), seen, 1)
    let_go(fifo)
    assert Ledger(box.state).entries["command:held"]["begun"] is True
    assert box.apply()["changed"] == 0
    entry = Ledger(box.state).entries["command:held"]
    assert entry["created"] is True
    assert "begun" not in entry


def test_what_was_begun_and_never_came_is_not_ours_when_somebody_else_makes_it(box_root: Path) -> None:
    box = Box(box_root)
    box.with_service = False
    wanted = box.file("wanted.conf")
    box.extra = [wanted]
    ledger = Ledger(box.state)
    spec = {"path": wanted["spec"]["path"]}
    noted = {"type": "file", "label": "", "playbooks": ["box"], "service": None, "spec": spec}
    ledger.record(wanted["id"], {**noted, "created": True, "begun": True})
    ledger.save()
    failing = command(box, argv=["false"])
    box.extra = [failing, {**wanted, "needs": [failing["id"]]}]
    box.run("apply")
    assert wanted["id"] not in Ledger(box.state).entries

    Path(spec["path"]).write_text("x\n")
    os.chmod(spec["path"], 0o644)
    box.extra = [wanted]
    box.apply()
    box.run("remove")
    assert Path(spec["path"]).exists()


def test_a_restart_is_not_repeated_after_a_run_that_was_killed_right_after_the_start(
    box_root: Path, tmp_path: Path
) -> None:
    box, starts = Box(box_root), tmp_path / "starts"
    box.greeting = f"\necho one >>{starts}"
    box.apply()
    pid = box.pid
    box.greeting = f"\necho two >>{starts}"
    record = box.root / "run/tiny.pid"
    # For half a second after this the run looks whether the script ends at once.
    kill_once(apply_in_a_process(box), lambda: record.exists() and f"{pid}\n" not in record.read_text())
    note = owed.restart(box.state, "tiny").read()
    assert note is not None
    assert note["state"] == "needed"

    assert box.plan() == ["probe:tiny"]
    box.apply()
    assert starts.read_text().split() == ["one", "two"]
    assert box.plan() == []
    assert owed.restart(box.state, "tiny").read() is None
    # What the killed run has begun is proven now, and can be gone back to.
    assert outcomes(box) == [("proven", True)] * 2
    box.run("remove")


def test_what_a_killed_run_has_not_finished_writing_is_removed_by_the_next_one(box_root: Path) -> None:
    box = Box(box_root)
    box.with_service = False
    box.extra = [box.file("wanted.conf")]
    box.apply()
    program = """
import os, sys, tempfile
from provision.host.python import pip
from provision.host.state import durable, scraps
scratch = pip.scratch()
tempfile.mkstemp(prefix=scraps.prefix(), dir=sys.argv[1])
os.replace = lambda *paths: os._exit(9)
durable.write(sys.argv[1] + "/figures/tiny", "half")
"""
    environment = {**os.environ, "TMPDIR": str(box_root)}
    subprocess.run([sys.executable, "-c", program, box.state], env=environment, check=False)
    held = tempfile.mkdtemp(prefix=scraps.prefix(), dir=box.state)  # of a process that lives

    def left() -> list[str]:
        return [str(path) for path in box_root.rglob(".provision-*")]

    assert len(left()) == 4
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("TMPDIR", str(box_root))
        box.apply()
    assert left() == [held]


def test_a_service_that_answered_just_before_the_kill_is_proven_and_remembered_by_the_next_run(
    box_root: Path,
) -> None:
    box = Box(box_root)
    box.apply()
    box.greeting = "two"
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(marks, "prove", killed)
        with pytest.raises(Killed):
            box.run("apply")
    box.apply()
    assert box.plan() == []
    record = backup.read(box.state, "tiny")
    assert record is not None
    assert record["invocation"] == marks.proven(box.state, "tiny")
    assert [(each.outcome, each.kept) for each in Revisions(box.state, "tiny").history()] == [
        ("proven", True)
    ] * 2
    box.run("remove")


def test_a_proof_that_was_cut_off_and_is_made_by_the_next_run_ends_the_same_revision(box_root: Path) -> None:
    def cut(probe: Probe, machine: Machine, changes: Changes) -> None:
        machine.cancel()
        raise Failure("run-cancelled", "cancelled")

    box = Box(box_root)
    box.apply()
    box.greeting = "two"
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(Probe, "fix", cut)
        box.run("apply")
    assert Revisions(box.state, "tiny").history()[-1].outcome == "begun"
    box.apply()
    assert outcomes(box) == [("proven", True)] * 2
    box.run("remove")
