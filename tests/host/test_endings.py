"""A service that ends is told of in the same words, whenever that is and whoever finds it out."""

from __future__ import annotations

import itertools
import json
import os
from pathlib import Path
from typing import Any

import pytest

from provision.host.machine import Machine
from provision.host.resources import process as process_module
from provision.host.services import supervision, systemd
from provision.host.services.failures import endings, exits
from provision.wire.checks import Running
from provision.wire.specs.directory import DirectorySpec
from provision.wire.specs.file import FileSpec
from provision.wire.specs.probe import ProbeSpec
from provision.wire.specs.process import ProcessSpec
from tests.host import asked, heard
from tests.host.entries import entry

RUNNING = Running(seconds=60)


class Site:
    """A directory with a script-supervised service that needs no port."""

    def __init__(self, root: Path, command: str) -> None:
        self.prefix = root / "prefix"
        self.state = self.prefix / "state"
        self.command = command
        self.events: list[dict[str, Any]] = []

    def resources(self) -> list[dict[str, Any]]:
        script = str(self.prefix / "start.sh")
        runs = {
            "service": "tiny",
            "pid_file": f"{self.prefix}/run/tiny.pid",
            "log": f"{self.prefix}/logs/tiny.log",
        }
        needs = [f"directory:{self.prefix / name}" for name in (".", "run", "logs")]
        return [
            *(
                entry(
                    f"directory:{self.prefix / name}",
                    DirectorySpec(path=str(self.prefix / name), mode="0755"),
                )
                for name in (".", "run", "logs")
            ),
            entry(
                f"file:{script}",
                FileSpec(path=script, mode="0755", content=f"#!/bin/sh\n{self.command}\n"),
                triggers=["tiny"],
                service="tiny",
                needs=needs,
            ),
            entry(
                "process:tiny",
                ProcessSpec(**runs, script=script, stop_timeout=20),
                service="tiny",
                needs=[f"file:{script}"],
            ),
            entry(
                "probe:tiny",
                ProbeSpec(
                    **runs,
                    health=False,
                    url="",
                    key_field="api_key_env",
                    checks=[RUNNING],
                    timeout=60,
                ),
                service="tiny",
                needs=["process:tiny"],
            ),
        ]

    def run(self, verb: str = "apply") -> dict[str, Any]:
        self.events.clear()
        machine = Machine(heard.into(self.events), str(self.state))
        return asked.carry_out(machine, verb, self.resources(), playbooks=["site"]).plain()

    @property
    def failure(self) -> dict[str, Any]:
        (failed,) = [event for event in self.events if event.get("status") == "failed"]
        return failed


MOMENTS = {
    "at once": "",
    "while it is proven": "until grep -qs started {state}/restart/tiny; do sleep 0.05; done; ",
}

ENDS = {
    "echo no model; exit 3": ("exit 3", "these are lines of its log"),
    "exit 3": ("exit 3", "printed nothing"),
    "exit 0": ("exit 0", "in the foreground"),
    "kill -KILL $$": ("signal KILL", "dmesg"),
    "sh -c 'kill -SEGV $$'; exit $?": ("signal SEGV", "printed nothing"),
}


@pytest.mark.parametrize("moment", MOMENTS)
@pytest.mark.parametrize("command", ENDS)
def test_one_end_has_one_wording(tmp_path: Path, command: str, moment: str) -> None:
    site = Site(tmp_path, "")
    site.command = "echo an earlier start; exit 1"
    site.run()
    site.command = MOMENTS[moment].format(state=site.state) + command
    summary = site.run()
    how, hint = ENDS[command]
    assert site.failure["error"] == f"tiny ended ({how})"
    said = ["no model"] if "no model" in command else []
    assert [line for line in site.failure["log"] if "Segmentation" not in line] == said
    assert hint in site.failure["hint"] or "Segmentation" in str(site.failure["log"])
    assert summary["services"] == {"tiny": "stopped"}


def test_it_may_end_between_two_looks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It was up when its start was noted, and is not when the run looks again."""
    monkeypatch.setattr(process_module, "SETTLE", 0)
    site = Site(tmp_path, "until grep -qs started {state}/restart/tiny; do :; done; exit 3".format(
        state=tmp_path / "prefix/state"
    ))  # fmt: skip
    site.run()
    assert site.failure["error"] == "tiny ended (exit 3)"


def test_what_the_kernel_kills_for_memory_is_called_that(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    counts = itertools.chain([4], itertools.repeat(5))
    monkeypatch.setattr(exits, "oom_kills", lambda: next(counts))
    site = Site(tmp_path, "kill -KILL $$")
    site.run()
    assert site.failure["error"] == "tiny ended (out of memory)"
    assert "memory" in site.failure["hint"]


def test_codes_above_128_are_signals_only_where_shells_make_them() -> None:
    assert [exits.how(code) for code in (0, 3, 127, 128, 137, 139, 200, 255, -9, -64)] == [
        "exit 0", "exit 3", "exit 127", "exit 128", "signal KILL", "signal SEGV", "exit 200", "exit 255",
        "signal KILL", "signal RTMAX",
    ]  # fmt: skip
    assert exits.oom_kills() >= 0


def test_a_service_that_never_started_leaves_nothing_behind(tmp_path: Path) -> None:
    site = Site(tmp_path, "exit 1")
    site.run()
    assert (site.prefix / "logs/tiny.log").exists()
    assert site.run("remove")["ok"]
    assert not [event for event in site.events if event.get("kept")]
    assert os.listdir(tmp_path) == []


def test_lines_that_the_journal_keeps_under_the_next_start_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """What journald does with a process that has ended before it looks; systemd tells of each start."""
    told = [
        {"_PID": "1", "INVOCATION_ID": "a", "MESSAGE": "Started web."},
        {"_PID": "50", "MESSAGE": "of the first"},
        {"_PID": "1", "INVOCATION_ID": "a", "MESSAGE": "web.service: Deactivated successfully."},
        {"_PID": "1", "INVOCATION_ID": "b", "MESSAGE": "Started web."},
        {"_PID": "51", "_SYSTEMD_INVOCATION_ID": "c", "MESSAGE": "of the second"},
        {"_PID": "1", "INVOCATION_ID": "b", "MESSAGE": "web.service: Deactivated successfully."},
        {"_PID": "1", "INVOCATION_ID": "c", "MESSAGE": "Started web."},
        {"_PID": "52", "_SYSTEMD_INVOCATION_ID": "c", "MESSAGE": "of the third"},
    ]

    def journal(machine: Machine, argv: list[str]) -> list[str]:
        kept = told if "-u" in argv else [entry for entry in told if entry.get("INVOCATION_ID") == "b"]
        return [json.dumps(entry) for entry in kept]

    monkeypatch.setattr(systemd, "_journal", journal)
    assert systemd.journal(Machine(print, "/nowhere"), "web.service", 8, "b") == ["of the second"]
    assert systemd.journal(Machine(print, "/nowhere"), "web.service", 8, "d") == []


def test_an_end_that_systemd_has_not_noticed_yet_is_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """/proc says at once that a process is not there any more."""
    gone = supervision.Life("active", None, None, since="a")
    told = iter([gone, supervision.Life("deactivating (stop-sigterm)", None, None, since="a")])
    failed = supervision.Life("failed", None, None, ended="exit 1", since="a")
    monkeypatch.setattr(supervision, "life", lambda machine, spec: next(told, failed))
    machine = Machine(lambda event: None, str(tmp_path))
    spec = ProbeSpec(
        service="tiny",
        unit="provision-tiny.service",
        health=False,
        url="",
        key_field="api_key",
        checks=[],
        timeout=1,
    )
    assert endings.ended(machine, spec, gone, "a").message == "tiny ended (exit 1)"
