"""Script-supervised services, with real processes."""

from __future__ import annotations

import json
import os
import pwd
import signal
import subprocess
import sys
import tempfile
import textwrap
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from provision.host.failure import Failure
from provision.host.resources import process as module
from provision.host.services import processes, stopping
from provision.host.state import marks, owed
from provision.wire.events import Work
from tests.host.services import Service

root_only = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")


def eventually(condition: Callable[[], object], seconds: float = 120) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it never came about"
        time.sleep(0.05)


def test_starts_once_and_lets_go(service: Service) -> None:
    process = service.process()
    assert service.look(process) == {"running": (False, True)}
    service.converge(process)
    pid = service.pid
    eventually(lambda: "Application startup complete" in service.log)  # until then it opens and closes files
    assert os.getsid(pid) == pid
    assert os.readlink(f"/proc/{pid}/fd/0") == "/dev/null"
    assert os.readlink(f"/proc/{pid}/fd/1") == os.readlink(f"/proc/{pid}/fd/2") == service.spec.log
    assert {
        fd for fd in os.listdir(f"/proc/{pid}/fd") if "pipe" in os.readlink(f"/proc/{pid}/fd/{fd}")
    } == set()
    assert service.converge(process) == {}
    assert service.pid == pid
    assert [each.pid for each in processes.listeners(service.port)] == [pid]


def test_outlives_the_run_that_started_it_and_holds_no_pipe(service: Service) -> None:
    program = textwrap.dedent(
        """
        import json, sys
        from provision.host.machine import Machine
        from provision.host.resources.process import Process
        from provision.wire.specs.process import ProcessSpec
        machine = Machine(lambda event: None, sys.argv[1])
        spec = ProcessSpec.parse(json.load(sys.stdin))
        Process("process:tiny", spec).fix(machine, {"running": (False, True)})
        """
    )

    # A pipe that the service kept open would keep `run` from returning.
    subprocess.run(
        [sys.executable, "-c", program, service.machine.state],
        input=json.dumps(service.spec.plain()),
        text=True,
        capture_output=True,
        check=True,
        timeout=300,
    )
    assert service.look(service.process()) == {}


def test_a_needed_restart_is_done_once(service: Service) -> None:
    process = service.process()
    service.converge(process)
    before = service.pid
    owed.restart(service.machine.state, "tiny").need("file:/start.sh")
    assert service.look(process) == {"current": (False, True)}
    assert process.work(service.machine, service.look(process)) == Work(restart="tiny")
    service.converge(process)
    assert service.pid != before
    assert processes.process(before) is None
    note = owed.restart(service.machine.state, "tiny").read()
    assert note is not None
    assert (note["state"], note["invocation"]) == ("started", processes.invocation(service.pid))
    assert service.look(process) == {}


def test_a_killed_service_is_started_again(service: Service) -> None:
    process = service.process()
    service.converge(process)
    os.kill(service.pid, signal.SIGKILL)
    eventually(lambda: service.look(process))
    assert service.converge(process) == {"running": (False, True)}


def test_a_pid_that_is_somebody_elses_by_now_is_not_ours(service: Service) -> None:
    process = service.process()
    service.converge(process)
    ours = service.pid
    mine = os.getpid()
    recorded = Path(service.spec.pid_file)
    recorded.write_text(recorded.read_text().replace(str(ours), str(mine)))
    assert service.look(process) == {"running": (False, True)}
    service.converge(process)  # the stray is found by its environment, and this very process is spared
    assert processes.process(ours) is None


@pytest.mark.parametrize("content", ["", "x\n", "12\n", "12\n12:99:somewhere\n", "-1\n-1:1:1\n"])
def test_a_damaged_pid_file_means_not_running(service: Service, content: str) -> None:
    path = Path(service.spec.pid_file)
    path.parent.mkdir()
    path.write_text(content)
    assert service.look(service.process()) == {"running": (False, True)}


def test_stop_takes_workers_that_left_the_session_and_ignore_sigterm(service: Service) -> None:
    service.script("--worker")
    service.converge(service.process())
    eventually(lambda: len(service.process()._members()) == 2)
    members = service.process()._members()
    assert len({each.session for each in members.values()}) == 2
    assert service.process().remove(service.machine)
    assert all(processes.process(pid) is None for pid in members)
    assert not Path(service.spec.pid_file).exists()
    assert not Path(service.spec.log).exists()
    assert not service.process().remove(service.machine)


def test_workers_left_behind_are_taken_before_a_new_start(service: Service) -> None:
    service.script("--worker")
    service.converge(service.process())
    eventually(lambda: len(service.process()._members()) == 2)
    main = service.pid
    worker = next(pid for pid in service.process()._members() if pid != main)
    os.kill(main, signal.SIGKILL)
    eventually(lambda: service.look(service.process()))
    assert processes.process(worker) is not None
    service.converge(service.process())
    assert processes.process(worker) is None


def test_a_sigterm_that_was_missed_while_starting_is_sent_again(service: Service) -> None:
    service.script("--deaf 1 --load 600")
    service.converge(service.process())
    eventually(lambda: "Loading weights" in service.log)
    service.stop_timeout = 60
    service.process()._stop(service.machine)
    assert "SIGTERM swallowed" in service.log
    assert service.said("progress")


@pytest.mark.parametrize("evidence", ["port", "answer"])
def test_a_server_that_drains_gets_no_second_sigterm(
    service: Service, monkeypatch: pytest.MonkeyPatch, evidence: str
) -> None:
    monkeypatch.setattr(stopping, "AGAIN", 0.1)
    service.script("--drain 1")
    service.serve()
    if evidence == "answer":  # of one that names no port
        marks.prove(service.machine.state, "tiny", str(processes.invocation(service.pid)))
        monkeypatch.setattr(processes, "listeners", lambda port, host: [])
    service.process()._stop(service.machine)
    assert "drained" in service.log
    assert "cut" not in service.log


def test_a_stop_that_was_cut_off_and_is_begun_again_sends_no_second_sigterm(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    service.script("--drain 2")
    service.serve()
    pid = service.pid

    def cut_off(seconds: float) -> None:
        raise Failure("run-cancelled", "cancelled")

    with monkeypatch.context() as patch:
        patch.setattr(service.machine, "sleep", cut_off)
        with pytest.raises(Failure, match="cancelled"):
            service.process()._stop(service.machine)
    assert processes.process(pid) is not None
    service.process()._stop(service.machine)
    assert "drained" in service.log
    assert "cut" not in service.log


def test_a_restart_that_is_cancelled_while_it_stops_ends_as_a_start(service: Service) -> None:
    service.script("--drain 2")
    service.serve()
    pid = service.pid
    owed.restart(service.machine.state, "tiny").need("file:/start.sh")
    cancelling = threading.Timer(0.5, service.machine.cancel)
    cancelling.start()
    service.converge(service.process())
    assert service.machine.cancelled.is_set()
    service.machine.cancelled.clear()  # for what ends the service after the test
    assert service.pid != pid
    assert processes.process(service.pid) is not None
    assert "drained" in service.log
    assert "cut" not in service.log


def test_what_does_not_stop_in_time_is_killed(service: Service) -> None:
    service.script("--deaf 1000")
    service.converge(service.process())
    eventually(lambda: "startup complete" in service.log)
    pid = service.pid
    service.stop_timeout = 1
    service.process()._stop(service.machine)
    assert processes.process(pid) is None


def test_a_foreign_port_holder_is_named_and_the_running_service_spared(
    service: Service, tmp_path: Path
) -> None:
    service.converge(service.process())
    eventually(lambda: "startup complete" in service.log)
    pid = service.pid
    rival = Service(tmp_path / "rival", name="rival", port=service.port)
    with pytest.raises(Failure, match=rf"port {service.port} is held by .* \(pid {pid}, "):
        rival.converge(rival.process())
    assert service.look(service.process()) == {}


def test_two_services_of_one_name_are_kept_apart(service: Service, tmp_path: Path) -> None:
    twin = Service(tmp_path / "twin")
    service.converge(service.process())
    twin.converge(twin.process())
    assert twin.process().remove(twin.machine)
    assert service.look(service.process()) == {}


def test_a_script_that_ends_at_once_fails_with_its_words(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "SETTLE", 60)  # however slow it is to end
    service.write("echo 'api_server.py: error: unrecognized arguments: --swap-space 4'; exit 2")
    with pytest.raises(Failure, match=r"^tiny ended \(exit 2\)$") as caught:
        service.converge(service.process())
    assert caught.value.log == ["api_server.py: error: unrecognized arguments: --swap-space 4"]
    assert caught.value.hint is not None
    assert "--swap-space 4" in caught.value.hint


def test_a_missing_script_is_said(service: Service) -> None:
    (service.root / "start.sh").unlink()
    with pytest.raises(Failure, match=r"start\.sh: No such file"):
        service.converge(service.process())


def test_the_caller_s_secrets_do_not_leak_into_the_service(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("R1_API_KEY", "hunter2")
    monkeypatch.setenv("PYTHONPATH", "/somewhere")
    monkeypatch.setenv("CUDA_HOME", "/usr/local/cuda")
    service.converge(service.process())
    environment = Path(f"/proc/{service.pid}/environ").read_text().split("\0")
    assert not [each for each in environment if "hunter2" in each or each.startswith("PYTHONPATH=")]
    assert "CUDA_HOME=/usr/local/cuda" in environment
    assert "PROVISION_SERVICE=tiny" in environment


def test_a_big_log_is_put_aside_at_the_start(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "ROTATE", 10)
    log = Path(service.spec.log)
    log.parent.mkdir()
    log.write_text("an old life that was long\n")
    service.converge(service.process())
    assert "old life" not in service.log
    assert "old life" in Path(f"{log}.1").read_text()


@pytest.fixture
def public_service() -> Iterator[Service]:
    """A service in a directory that every user may enter."""
    with tempfile.TemporaryDirectory() as directory:
        os.chmod(directory, 0o755)
        made = Service(Path(directory), user="nobody")
        yield made
        made.process().remove(made.machine)


@root_only
def test_root_starts_it_as_its_user(public_service: Service) -> None:
    service = public_service
    service.write("id -un; id -Gn; echo $HOME; exec sleep 600")
    service.converge(service.process())
    assert os.stat(f"/proc/{service.pid}").st_uid == pwd.getpwnam("nobody").pw_uid
    eventually(lambda: service.log.count("\n") >= 4)
    assert service.log.splitlines()[1:4] == ["nobody", "nogroup", "/nonexistent"]


@root_only
def test_a_script_that_its_user_cannot_reach_is_said(service: Service) -> None:
    service.user = "nobody"
    with pytest.raises(Failure, match="Permission denied") as caught:
        service.converge(service.process())
    assert "nobody" in str(caught.value.hint)


@root_only
def test_a_user_who_is_not_root_cannot_become_another(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    service.user = "daemon"
    service.machine.root = False
    with pytest.raises(Failure, match="by root") as caught:
        service.converge(service.process())
    assert "become: true" in str(caught.value.hint)
