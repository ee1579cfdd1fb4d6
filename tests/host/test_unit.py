"""systemd units on a booted host, through the same door as the controller: a request to the host side."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from provision.show.jsonl import fields
from provision.transport.reading import read
from provision.wire.checks import Chat
from provision.wire.requests import Service
from provision.wire.specs.probe import ProbeSpec
from provision.wire.specs.unit import UnitSpec
from tests.host import asked
from tests.host.services import SERVER
from tests.lab import Lab, LabHost

pytestmark = pytest.mark.lab

REPOSITORY = Path(__file__).parents[2]

UNIT = """\
[Unit]
Description={name}

[Service]
Type=exec
ExecStart=/usr/bin/python3 {server} {port} {options}
Restart=always
RestartSec={pause}
KillMode=mixed
TimeoutStopSec=30

[Install]
WantedBy=multi-user.target
"""


class Remote:
    """A unit on a lab host, and requests about it."""

    def __init__(self, host: LabHost, name: str, port: int) -> None:
        self.host = host
        self.name = name
        self.port = port
        self.unit = f"provision-{name}.service"
        self.state = f"/opt/{name}/state"
        self.directory = f"/opt/{name}"
        self.stop_timeout = 20
        self.first: list[dict[str, Any]] = []
        host.exec(["mkdir", "-p", self.directory])
        self.write_server()
        self.write_unit("")

    @property
    def facts(self) -> Service:
        """What `status` and `logs` have to know of it."""
        return Service(
            service=self.name,
            unit=self.unit,
            kind="vllm",
            supervisor="systemd",
            port=self.port,
            url=None,
            model=None,
        )

    def put(self, path: str, text: str) -> None:
        self.host.exec(["sh", "-c", f"mkdir -p $(dirname {path}); cat >{path}"], input=text)

    def write_server(self) -> None:
        self.put(f"{self.directory}/server.py", SERVER.read_text())

    def write_unit(self, options: str, pause: int = 2) -> None:
        """Write the unit; what has ended is started again after a `pause` in seconds."""
        server = f"{self.directory}/server.py"
        text = UNIT.format(name=self.name, server=server, port=self.port, options=options, pause=pause)
        self.put(f"/etc/systemd/system/{self.unit}", text)

    def resources(self) -> list[dict[str, Any]]:
        unit = {
            "id": f"unit:{self.name}",
            "type": "unit",
            "service": self.name,
            "needs": [each["id"] for each in self.first],
            "spec": UnitSpec(
                service=self.name,
                unit=self.unit,
                port=self.port,
                bind="127.0.0.1",
                stop_timeout=self.stop_timeout,
            ).plain(),
        }
        probe = {
            "id": f"probe:{self.name}",
            "type": "probe",
            "service": self.name,
            "needs": [unit["id"]],
            "spec": ProbeSpec(
                service=self.name,
                unit=self.unit,
                health=True,
                url=f"http://127.0.0.1:{self.port}",
                model="tiny",
                key_field="api_key",
                checks=[Chat(user="hello")],
                timeout=180,
            ).plain(),
        }
        return [*self.first, unit, probe]

    def ask(self, verb: str, **options: Any) -> list[dict[str, Any]]:
        """Send a request and return the events."""
        request = asked.request(verb, self.resources(), [self.facts], self.state, **options).plain()
        program = (
            "import sys; sys.path.insert(0, '/source'); "
            "from provision.host.main import main; main(sys.argv[1].encode())"
        )
        # The controller is there as long as standard input is open; `sleep` keeps it so.
        shell = 'mkfifo "$2"; sleep 600 >"$2" & python3 -I -S -c "$0" "$1" <"$2"; kill $!; rm "$2"'
        fifo = f"/tmp/{self.name}-{time.monotonic_ns()}"
        done = self.host.exec(["sh", "-c", shell, program, json.dumps(request), fifo], check=False)
        return [fields(read(line.encode(), "")) for line in done.stdout.splitlines()]

    def changes(self) -> dict[str, Any]:
        """What a plan says of the unit."""
        return self.result(self.ask("inspect"), "unit")["changes"]

    def result(self, events: list[dict[str, Any]], type: str, event: str = "inspected") -> dict[str, Any]:
        return next(each for each in events if each["event"] == event and each["id"] == f"{type}:{self.name}")

    def apply(self, ok: bool = True) -> dict[str, Any]:
        """Apply; return the result of the unit and that of the probe, by type."""
        events = self.ask("apply")
        assert events[-1]["event"] == "done"
        assert events[-1]["ok"] == ok, events
        return {type: self.result(events, type, "result") for type in ("unit", "probe")}

    def systemctl(self, *words: str) -> str:
        return self.host.exec(["systemctl", *words, self.unit], check=False).stdout.strip()

    @property
    def pid(self) -> str:
        return self.systemctl("show", "--property=MainPID", "--value")

    @property
    def journal(self) -> str:
        return self.host.exec(["journalctl", "-q", "-o", "cat", "-u", self.unit]).stdout


@pytest.fixture(scope="module")
def host(lab: Lab) -> Iterator[LabHost]:
    (host,) = lab.add("units", binds=(f"{REPOSITORY}:/source",))
    yield host
    lab.remove("units")


@pytest.fixture
def remote(host: LabHost, request: pytest.FixtureRequest) -> Iterator[Remote]:
    name = "s" + str(abs(hash(request.node.name)) % 100000)
    made = Remote(host, name, 8000)
    yield made
    made.systemctl("kill", "-s", "KILL")
    made.systemctl("disable", "--now")
    host.exec(["rm", "-rf", made.directory, f"/etc/systemd/system/{made.unit}"])
    host.exec(["systemctl", "daemon-reload"])


def eventually(condition: Callable[[], object], seconds: float = 180) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it never came about"
        time.sleep(0.1)


def test_from_a_new_file_to_a_proven_service_and_then_nothing(remote: Remote) -> None:
    assert remote.changes() == {"enabled": (False, True), "active": (False, True)}
    results = remote.apply()
    assert {type: result["status"] for type, result in results.items()} == {
        "unit": "changed",
        "probe": "changed",
    }
    assert remote.systemctl("is-enabled") == "enabled"
    pid = remote.pid
    results = remote.apply()
    assert {type: result["status"] for type, result in results.items()} == {"unit": "ok", "probe": "ok"}
    assert remote.pid == pid


def test_only_what_differs_is_mended(remote: Remote) -> None:
    remote.apply()
    pid = remote.pid
    remote.systemctl("disable")
    assert remote.changes() == {"enabled": (False, True)}
    remote.apply()
    assert remote.systemctl("is-enabled") == "enabled"
    remote.write_unit("--reply other")
    assert remote.changes() == {"loaded": (False, True)}
    remote.apply()
    assert remote.changes() == {}
    assert remote.pid == pid


def test_a_needed_restart_is_done_and_proven(remote: Remote) -> None:
    remote.apply()
    pid = remote.pid
    remote.put(f"{remote.state}/restart/{remote.name}", '{"state": "needed", "because": ["file:/x"]}')
    assert remote.changes() == {"current": (False, True)}
    results = remote.apply()
    assert results["probe"]["status"] == "changed"
    assert remote.pid not in (pid, "0")
    assert remote.changes() == {}


def test_a_restart_goes_on_without_the_run_that_has_begun_it_and_is_not_repeated(remote: Remote) -> None:
    remote.apply()
    pid = remote.pid
    gate = "[Service]\nExecStartPre=/bin/sh -c 'until [ -e /tmp/open ]; do sleep 0.1; done'\n"
    remote.put(f"/etc/systemd/system/{remote.unit}.d/gate.conf", gate)
    remote.host.exec(["systemctl", "daemon-reload"])
    remote.put(f"{remote.state}/restart/{remote.name}", '{"state": "needed", "because": ["file:/x"]}')
    with ThreadPoolExecutor() as pool:
        cut = pool.submit(remote.ask, "apply")
        eventually(lambda: remote.systemctl("show", "-p", "SubState", "--value") == "start-pre")
        remote.host.exec(["pkill", "-9", "-f", "^python3 -I -S -c"])
        assert cut.result()[-1]["event"] != "done"
    remote.put("/tmp/open", "")
    eventually(lambda: remote.systemctl("is-active") == "active")
    started = remote.pid
    assert started not in (pid, "0")
    results = remote.apply()
    assert (results["unit"]["status"], results["probe"]["status"]) == ("ok", "changed")
    assert remote.pid == started
    assert remote.changes() == {}
    remote.host.exec(["rm", "-r", f"/etc/systemd/system/{remote.unit}.d", "/tmp/open"])


def test_a_stopped_and_a_failed_unit_are_not_active(remote: Remote) -> None:
    remote.apply()
    remote.systemctl("stop")
    assert remote.changes() == {"active": (False, True)}
    remote.apply()
    remote.write_unit("--fail broken", pause=600)
    remote.host.exec(["systemctl", "daemon-reload"])
    remote.systemctl("restart")
    eventually(lambda: remote.changes() == {"active": (False, True)})
    remote.write_unit("")
    remote.apply()
    assert remote.changes() == {}


def test_a_process_that_systemd_brought_back_is_proven_again(remote: Remote) -> None:
    remote.apply()
    pid = remote.pid
    remote.systemctl("kill", "-s", "KILL")
    eventually(lambda: remote.pid not in (pid, "0") and remote.systemctl("is-active") == "active")
    results = remote.apply()
    assert results["unit"]["status"] == "ok"
    assert results["probe"]["status"] == "changed"


def test_a_restart_loop_is_seen_and_explained(remote: Remote) -> None:
    remote.write_unit('--dies "api_server.py: error: unrecognized arguments: --swap-space 4"', pause=60)
    result = remote.apply(ok=False)["probe"]
    assert result["status"] == "failed"
    assert result["error"] == f"{remote.name} ended (exit 1)"
    assert "--swap-space 4" in result["hint"]
    assert any("unrecognized arguments" in line for line in result["log"])


def failed_of(results: dict[str, Any]) -> dict[str, Any]:
    return next(each for each in results.values() if each["status"] == "failed")


@pytest.mark.parametrize(
    ("command", "how", "said", "pause"),
    [
        ("echo no model; exit 3", "exit 3", ["no model"], "60"),
        ("echo no model; sleep 0.3; exit 3", "exit 3", ["no model"], "100ms"),
        ("echo bye", "exit 0", ["bye"], "100ms"),
        ("kill -KILL $$$$", "signal KILL", [], "60"),
    ],
)
def test_one_end_has_one_wording(remote: Remote, command: str, how: str, said: list[str], pause: str) -> None:
    """Also when systemd has started it again by the time that one looks."""
    text = UNIT.format(name=remote.name, server="", port="", options="", pause=pause)
    lines = [line for line in text.splitlines() if not line.startswith("ExecStart=")]
    lines.insert(lines.index("Type=exec"), f"ExecStart=/bin/sh -c '{command}'")
    remote.put(f"/etc/systemd/system/{remote.unit}", "\n".join(lines))
    failed = failed_of(remote.apply(ok=False))
    assert (failed["error"], failed["log"]) == (f"{remote.name} ended ({how})", said)


def test_a_foreign_port_holder_is_named(remote: Remote) -> None:
    squatter = "import socket, time; s = socket.create_server(('127.0.0.1', 8000)); time.sleep(600)"
    remote.host.exec(["systemd-run", "--unit=squatter", "-q", "/usr/bin/python3", "-c", squatter])
    try:
        listening = "import socket; socket.create_connection(('127.0.0.1', 8000))"
        eventually(lambda: not remote.host.exec(["python3", "-c", listening], check=False).returncode)
        pid = remote.host.exec(["systemctl", "show", "-P", "MainPID", "squatter"]).stdout.strip()
        (note,) = [event for event in remote.ask("apply") if event["event"] == "note"]
        assert f"port 8000, which is held by python3 (pid {pid}, root)" in note["finding"]["message"]
        assert remote.systemctl("is-active") == "inactive"
    finally:
        remote.host.exec(["systemctl", "stop", "squatter"])


def test_a_sigterm_that_was_missed_while_starting_does_not_hold_up_a_restart(remote: Remote) -> None:
    remote.write_unit("--deaf 1 --load 600")
    remote.systemctl("enable", "--now")
    eventually(lambda: "Loading weights" in remote.journal)
    pid = remote.pid
    remote.stop_timeout = 600
    remote.write_unit("")
    remote.put(f"{remote.state}/restart/{remote.name}", '{"state": "needed", "because": []}')
    remote.apply()
    assert remote.pid not in (pid, "0")
    assert "SIGTERM swallowed" in remote.journal


def test_a_server_that_drains_gets_no_second_sigterm(remote: Remote) -> None:
    remote.write_unit("--drain 6")  # the second one would come after 5 s
    remote.apply()
    pid = remote.pid
    remote.put(f"{remote.state}/restart/{remote.name}", '{"state": "needed", "because": []}')
    remote.apply()
    assert remote.pid not in (pid, "0")
    assert "drained" in remote.journal
    assert "cut" not in remote.journal


def test_what_cannot_run_without_another_ends_before_that_restarts(remote: Remote) -> None:
    remote.write_unit("--drain 3", pause=1)
    lead = f"{remote.name}-lead"
    remote.put(
        f"/etc/systemd/system/provision-{lead}.service",
        "[Service]\nExecStart=/bin/sleep infinity\n[Install]\nWantedBy=multi-user.target\n",
    )
    spec = UnitSpec(service=lead, unit=f"provision-{lead}.service", stop_timeout=20).plain()
    remote.first = [
        {"id": f"unit:{lead}", "type": "unit", "service": lead, "spec": spec, "triggers": [remote.name]}
    ]
    remote.apply()
    pid = remote.pid
    assert not remote.changes()
    remote.put(f"{remote.state}/restart/{lead}", '{"state": "needed", "because": []}')
    assert remote.result(remote.ask("inspect"), "unit")["changes"] == {"current": (False, True)}
    remote.apply()
    assert remote.pid not in (pid, "0")
    ends = "journalctl -o short-unix -u provision-{} | grep -E 'drained|Stopping' | head -1 | cut -d' ' -f1"
    drained, stopped = (
        float(remote.host.exec(["sh", "-c", ends.format(each)]).stdout) for each in (remote.name, lead)
    )
    assert drained <= stopped
    remote.host.exec(["systemctl", "disable", "--now", f"provision-{lead}"])


def test_workers_and_a_deaf_server_are_killed_in_time(remote: Remote) -> None:
    remote.write_unit("--deaf 600 --worker")
    remote.stop_timeout = 2
    remote.apply()
    group = f"/sys/fs/cgroup/system.slice/{remote.unit}/cgroup.procs"
    count = f"cat {group} 2>/dev/null || cat /sys/fs/cgroup/systemd/system.slice/{remote.unit}/cgroup.procs"
    assert len(remote.host.exec(["sh", "-c", count]).stdout.split()) == 2
    events = remote.ask("remove", playbooks=None)
    assert events[-1]["ok"], events
    assert remote.host.exec(["sh", "-c", count], check=False).stdout.split() == []
    assert remote.systemctl("is-enabled") != "enabled"


def test_a_masked_unit_is_said(remote: Remote) -> None:
    remote.host.exec(["rm", f"/etc/systemd/system/{remote.unit}"])
    remote.systemctl("mask")
    try:
        result = remote.apply(ok=False)["unit"]
    finally:
        remote.systemctl("unmask")
    assert result["error"] == f"{remote.unit} is masked"


def test_a_missing_and_a_broken_unit_file_are_said(remote: Remote) -> None:
    remote.put(f"/etc/systemd/system/{remote.unit}", "[Service]\nType=exec\n")
    assert "cannot load" in remote.apply(ok=False)["unit"]["error"]
    remote.host.exec(["rm", f"/etc/systemd/system/{remote.unit}"])
    assert "not found" in remote.apply(ok=False)["unit"]["error"]


def test_a_program_that_is_not_there_is_said(remote: Remote) -> None:
    remote.put(
        f"/etc/systemd/system/{remote.unit}",
        "[Service]\nType=exec\nExecStart=/opt/none/bin/python\nRestart=always\nRestartSec=2\n"
        "[Install]\nWantedBy=multi-user.target\n",
    )
    result = remote.apply(ok=False)["unit"]
    assert result["status"] == "failed"
    assert result["log"]


def systemctl_calls(remote: Remote) -> list[str]:
    """Apply, and return the first argument of each systemctl that was called."""
    remote.host.exec(["mv", "/usr/bin/systemctl", "/usr/bin/systemctl.real"])
    try:
        script = '#!/bin/sh\necho "$1" >>/tmp/systemctl.calls\nexec /usr/bin/systemctl.real "$@"\n'
        remote.put("/usr/bin/systemctl", script)
        remote.host.exec(["chmod", "755", "/usr/bin/systemctl"])
        remote.put("/tmp/systemctl.calls", "")
        remote.apply()
        return remote.host.exec(["cat", "/tmp/systemctl.calls"]).stdout.split()
    finally:
        remote.host.exec(["mv", "/usr/bin/systemctl.real", "/usr/bin/systemctl"])


def test_systemd_is_asked_only_for_what_nothing_else_tells(remote: Remote) -> None:
    remote.apply()
    # After the other tests of this file one `show` is made, which alone is not; why is not known yet.
    assert systemctl_calls(remote) in ([], ["show"])
    remote.put(f"{remote.state}/restart/{remote.name}", '{"state": "needed", "because": ["file:/x"]}')
    calls = systemctl_calls(remote)
    assert [call for call in calls if call != "show"] == ["stop", "start"]
    assert calls.count("show") <= 1  # after the stop, when systemd does not hold the unit any more


def test_a_unit_that_was_started_too_often_is_started_again(remote: Remote) -> None:
    limit = "[Unit]\nStartLimitIntervalSec=1h\nStartLimitBurst=2\n"
    remote.put(f"/etc/systemd/system/{remote.unit}.d/limit.conf", limit)
    remote.apply()
    for _ in range(3):
        remote.host.exec(["systemctl", "stop", remote.unit])
        remote.host.exec(["systemctl", "start", remote.unit], check=False)
    assert remote.systemctl("show", "-p", "Result", "--value") == "start-limit-hit"
    assert remote.apply()["unit"]["status"] == "changed"
    remote.host.exec(["rm", "-r", f"/etc/systemd/system/{remote.unit}.d"])


def test_status_and_logs(remote: Remote) -> None:
    remote.apply()
    status = next(each for each in remote.ask("status") if each["event"] == "service")
    assert (status["state"], status["listening"], status["proven"]) == ("running", True, True)
    assert str(status["pid"]) == remote.pid
    assert 0 <= status["uptime"] < 600
    lines = [each["text"] for each in remote.ask("logs", lines=50) if each["event"] == "line"]
    assert "Application startup complete." in lines
    assert sum(each["event"] == "line" for each in remote.ask("logs", lines=1)) == 1
    remote.systemctl("stop")
    status = next(each for each in remote.ask("status") if each["event"] == "service")
    assert (status["state"], status["pid"], status["listening"]) == ("stopped", None, False)
