"""JUnit reports, from events as hosts send them and through the real command line."""

from __future__ import annotations

import io
import signal
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest

from provision.show.formats import FORMATS, TEXT, Format
from provision.show.items import Item, Run
from provision.show.output import open_writer
from provision.show.writer import Writer
from provision.wire import events, rollout
from provision.wire.finding import Finding
from tests.e2e.command import Provision

FAULT = Finding(code="wrong-answer", message="it said \x1b[1m<no>\ud800", hint="look", log=["a & b", "c"])


def outcomes(root: ElementTree.Element, host: str) -> dict[tuple[str, str], str]:
    """Return what became of each case of a host: its class and name -> passed, failure or error."""
    (suite,) = [suite for suite in root if suite.get("name") == host]
    return {
        (case.get("classname", ""), case.get("name", "")): case[0].tag if len(case) else "passed"
        for case in suite
    }


def test_a_case_for_each_host_check_and_failed_step() -> None:
    out = io.StringIO()
    writer = FORMATS["junit"].writer(Run("apply", ["good", "bad", "lost", "cut"]), out)
    for event in (
        events.Proof(host="good", service="tiny", check="chat", ok=True, seconds=1.25),
        events.Done(host="good", ok=True, seconds=3.0),
        events.Inspected(host="bad", id="file:/a", type="file", label="/a", service="tiny", new=True),
        events.Inspected(host="bad", id="model:m", type="model", label="model m", finding=FAULT),
        events.Result(host="bad", id="file:/a", status="failed", seconds=0.5, finding=FAULT),
        events.Proof(host="bad", service="tiny", check="chat", ok=False, finding=FAULT),
        # The step of the check repeats what the check has told.
        events.Result(
            host="bad",
            id="proof:tiny",
            status="failed",
            finding=Finding(code="wrong-answer", message=f"chat: {FAULT.message}"),
        ),
        events.Done(host="bad", ok=False, seconds=2.0),
        rollout.Unreachable(host="lost", finding=Finding(code="host-unreachable", message="no answer")),
    ):
        writer.take(event)
    writer.close()
    root = ElementTree.fromstring(out.getvalue().encode())
    assert outcomes(root, "good") == {("good.apply", "host"): "passed", ("good.tiny", "chat"): "passed"}
    assert outcomes(root, "bad") == {
        ("bad.apply", "host"): "passed",
        ("bad.model", "model m"): "error",
        ("bad.tiny", "chat"): "failure",
        ("bad.tiny", "/a"): "failure",
    }
    assert outcomes(root, "lost") == {("lost.apply", "host"): "error"}
    assert outcomes(root, "cut") == {("cut.apply", "host"): "error"}
    assert [root.get(key) for key in ("tests", "failures", "errors", "time")] == ["8", "2", "3", "5.000"]
    failure = root.find(".//failure")
    assert failure is not None
    assert failure.get("type") == "wrong-answer"
    assert failure.text == "it said \\x1b[1m<no>\\ud800 [wrong-answer]\nlook\na & b\nc"


class Broken(Writer):
    """A writer that fails at the end, as one whose terminal is gone."""

    def take(self, item: Item) -> None:
        pass

    def close(self) -> None:
        raise BrokenPipeError


def test_the_file_is_written_whole_also_when_the_terminal_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(FORMATS, TEXT, Format(f"{__name__}:Broken"))
    file = tmp_path / "report.xml"
    file.write_text("old")
    writer = open_writer(Run("verify", ["h"]), files={"junit": file})
    assert file.read_text() == "old"
    with pytest.raises(BrokenPipeError):
        writer.close()
    assert outcomes(ElementTree.parse(file).getroot(), "h") == {("h.verify", "host"): "error"}
    assert list(tmp_path.iterdir()) == [file]


def _apart(directory: Path) -> Path:
    """Return an inventory of this machine that keeps provision's own state in a directory."""
    inventory = directory / "hosts.yml"
    inventory.write_text(f"hosts: {{localhost: {{connection: local, prefix: {directory}/prefix}}}}\n")
    return inventory


def test_a_real_apply_writes_it_and_a_wrong_file_is_refused_before_anything_is_done(tmp_path: Path) -> None:
    made = tmp_path / "made"
    playbook = tmp_path / "p.yml"
    playbook.write_text(
        "- hosts: localhost\n"
        f"  files: {{{tmp_path}/none/a: {{content: x}}}}\n"
        f"  directories: {{{made}: null}}\n"
    )
    provision, hosts = Provision(), _apart(tmp_path)
    refused = provision.run("apply", playbook, "-i", hosts, "--yes", "--junit", tmp_path / "none/r.xml")
    assert refused.code == 1
    assert "r.xml: cannot write the report: no such file or directory" in refused.err
    assert not made.exists()
    report = tmp_path / "r.xml"
    assert provision.run("apply", playbook, "-i", hosts, "--yes", "--junit", report).code == 1
    assert made.exists()
    assert outcomes(ElementTree.parse(report).getroot(), "localhost") == {
        ("localhost.apply", "host"): "passed",
        ("localhost.file", f"{tmp_path}/none/a"): "failure",
    }
    assert provision.run("plan", playbook, "-i", hosts, "--junit", report).code == 0
    assert outcomes(ElementTree.parse(report).getroot(), "localhost") == {
        ("localhost.plan", "host"): "passed"
    }


def test_an_interrupted_apply_writes_it_too(tmp_path: Path) -> None:
    playbook = tmp_path / "p.yml"
    playbook.write_text(
        f"- hosts: localhost\n  commands: {{slow: {{run: sleep 60, creates: {tmp_path}/never}}}}\n"
    )
    report = tmp_path / "r.xml"
    argv = ["apply", str(playbook), "-i", str(_apart(tmp_path)), "--yes"]
    argv += ["--output", "json", "--junit", str(report)]
    with subprocess.Popen(
        [sys.executable, "-m", "provision", *argv], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout
        for line in process.stdout:
            if '"event":"started"' in line:
                process.send_signal(signal.SIGINT)
        assert process.wait(timeout=60) == 130
    found = outcomes(ElementTree.parse(report).getroot(), "localhost")
    assert {"failure", "error"} & set(found.values())
