"""Hosts behind OpenSSH: what goes wrong on the way, and that it costs one execution when nothing does."""

from __future__ import annotations

import hashlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from provision.connect import Ssh
from provision.rollout.run import run
from provision.transport.ahead import Ahead
from provision.transport.archive import Archive
from provision.transport.target import Limits, Status, Target
from provision.wire.events import Done, Error, Event, Hello, Note
from provision.wire.rollout import Bootstrapped, Unreachable
from tests.lab import Base, Lab, LabHost
from tests.unit.rollout.standin import AGREED, PATIENT, asks, ended, go, host_side, note

pytestmark = pytest.mark.lab

ANSWER = """
hello()
note(request.decode())
say(event="done", ok=True)
return 0
"""

Way = Callable[..., Ssh]


@pytest.fixture
def way(lab: Lab) -> Iterator[Way]:
    """Make connections to lab hosts, whose kept connections end with the test."""
    directory = tempfile.mkdtemp(prefix="pv-", dir="/tmp")
    made: list[Ssh] = []

    def make(host: LabHost, user: str = "root", **more: object) -> Ssh:
        values: dict[str, object] = {
            "host": host.name,
            "address": host.address,
            "user": user,
            "identity_file": str(lab.key),
            "options": (f"UserKnownHostsFile={lab.known_hosts}",),
            "directory": directory,
        }
        made.append(Ssh(**{**values, **more}))  # type: ignore[arg-type]
        return made[-1]

    yield make
    for connection in made:
        if connection.kept():
            end = ["ssh", "-O", "exit", "-o", f"ControlPath={connection.socket}", connection.address]
            subprocess.run(end, capture_output=True, check=False, timeout=120)
    shutil.rmtree(directory, ignore_errors=True)  # the masters take their sockets away meanwhile


@pytest.fixture
def host(lab: Lab) -> LabHost:
    """A host that the test leaves as it was."""
    return lab["h1"]


def one(
    connection: Ssh,
    archive: Archive,
    password: str | None = None,
    limits: Limits = PATIENT,
    install_python: bool = False,
    on_event: Callable[[Event], None] = lambda event: None,
    ahead: Ahead | None = None,
) -> tuple[Status, list[Event]]:
    events: list[Event] = []

    def listen(event: Event) -> None:
        events.append(event)
        on_event(event)

    target = Target(connection, b"request", install_python=install_python)
    summary = run([target], None, listen, password=password, archive=archive, limits=limits, ahead=ahead)
    return summary.outcomes[connection.host], events


def why(connection: Ssh, archive: Archive, limits: Limits = PATIENT) -> Unreachable:
    outcome, events = one(connection, archive, limits=limits)
    assert outcome == "unreachable"
    assert isinstance(events[-1], Unreachable)
    return events[-1]


def is_told(host: LabHost) -> bool:
    deadline = time.monotonic() + 180
    while time.monotonic() < deadline:
        if (host.root / "var/tmp/told").exists():
            return True
        time.sleep(0.1)
    return False


# -- when all is well ---------------------------------------------------------------------------------------


def test_one_execution_cold_and_kept(way: Way, host: LabHost, tmp_path: Path) -> None:
    archive = host_side(tmp_path, ANSWER)
    _, cold = one(way(host), archive)
    assert [type(event) for event in cold] == [Hello, Note, Done]
    assert way(host).kept()
    _, kept = one(way(host), archive)
    assert ended(cold).executions == ended(kept).executions == 1
    assert ended(kept).sent < ended(cold).sent


def test_a_kept_connection_makes_no_handshake(way: Way, host: LabHost, tmp_path: Path) -> None:
    def logins() -> int:
        journal = "journalctl --sync && journalctl --no-pager"
        return host.exec(["sh", "-c", journal]).stdout.count("Accepted publickey")

    archive = host_side(tmp_path, ANSWER)
    before = logins()
    for _ in range(4):
        one(way(host), archive)
    assert logins() == before + 1


def test_a_kept_connection_starts_no_process(
    way: Way, host: LabHost, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive = host_side(tmp_path, ANSWER)
    one(way(host), archive)
    monkeypatch.setenv("PATH", str(tmp_path))
    outcome, _ = one(way(host), archive)
    assert outcome == "ok"


def test_the_interpreter_may_be_started_before_the_request_is_there(
    way: Way, host: LabHost, tmp_path: Path
) -> None:
    archive = host_side(tmp_path, ANSWER)
    one(way(host), archive)
    ahead = begun(way(host))
    (waiting,) = interpreters(host, 1)
    outcome, events = one(way(host), archive, ahead=ahead)
    assert (outcome, ended(events).executions) == ("ok", 1)
    assert [event.pid for event in events if isinstance(event, Hello)] == [waiting]


def test_an_interpreter_that_gets_no_request_ends_with_the_controller(
    way: Way, host: LabHost, tmp_path: Path
) -> None:
    one(way(host), host_side(tmp_path, ANSWER))
    controller = os.fork()
    if not controller:
        _ = begun(way(host))
        time.sleep(1000)
    interpreters(host, 1)
    os.kill(controller, signal.SIGKILL)
    os.waitpid(controller, 0)
    interpreters(host, 0)


def begun(connection: Ssh) -> Ahead:
    ahead = Ahead()
    ahead.begin([connection])
    return ahead


def interpreters(host: LabHost, number: int) -> list[int]:
    """Wait for so many that have no request yet, and return their processes."""
    deadline = time.monotonic() + 180
    while time.monotonic() < deadline:
        found = host.exec(["pgrep", "-f", "^python3 -I -S -c import sys,zlib"], check=False).stdout.split()
        if len(found) == number:
            return [int(pid) for pid in found]
        time.sleep(0.1)
    raise AssertionError(f"{found} and not {number}")


def test_the_configuration_of_the_connection_says_what_of_the_environment_is_sent(
    way: Way, lab_host: LabHost, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (lab_host.root / "etc/ssh/sshd_config.d/accept.conf").write_text("AcceptEnv P_*\n", encoding="ascii")
    lab_host.exec(["systemctl", "restart", "ssh"])
    names = "hello()\nnote(' '.join(sorted(os.environ)))\nsay(event='done', ok=True)\nreturn 0\n"
    archive = host_side(tmp_path, names)
    connection = way(lab_host)
    connection = way(lab_host, options=(*connection.options, "SendEnv=P_SENT", "SetEnv=P_SET=1"))
    monkeypatch.setenv("P_SENT", "1")
    monkeypatch.setenv("P_OTHER", "1")
    for _ in range(2):
        _, events = one(connection, archive)
        (note,) = (event.finding.message for event in events if isinstance(event, Note))
        assert [name for name in note.split() if name.startswith("P_")] == ["P_SENT", "P_SET"]


def test_all_hosts_at_once(way: Way, lab: Lab, tmp_path: Path) -> None:
    archive = host_side(tmp_path, ANSWER)
    summary, _ = go([Target(way(host), b"x") for host in lab], archive)
    assert set(summary.outcomes.values()) == {"ok"}


def test_by_way_of_another_host(way: Way, lab: Lab, tmp_path: Path) -> None:
    jump = f"ProxyCommand=ssh -F {lab.ssh_config} -W %h:%p {lab['h2'].name}"
    connection = way(lab["h1"])
    outcome, _ = one(replace(connection, options=(*connection.options, jump)), host_side(tmp_path, ANSWER))
    assert outcome == "ok"


def test_what_a_login_shell_prints_is_skipped(way: Way, lab_host: LabHost, tmp_path: Path) -> None:
    for file in (".bashrc", ".profile", ".bash_logout"):
        with (lab_host.root / "root" / file).open("w") as noisy:
            noisy.write(f"echo hello from {file}; printf 'no line end '; echo oh no >&2\n")
    outcome, events = one(way(lab_host), host_side(tmp_path, ANSWER))
    assert outcome == "ok"
    assert [type(event) for event in events] == [Hello, Note, Done]


def test_whatever_the_login_shell_is(way: Way, lab_host: LabHost, tmp_path: Path) -> None:
    lab_host.exec(["sh", "-c", "apt-get -qq update && apt-get -qq -y install tcsh fish >/dev/null 2>&1"])
    archive = host_side(tmp_path, ANSWER)
    for shell in ("/bin/tcsh", "/usr/bin/fish", "/bin/dash"):
        lab_host.exec(["chsh", "-s", shell, "deploy"])
        for connection in (way(lab_host, "deploy"), way(lab_host, "deploy", become=True)):
            outcome, events = one(connection, archive)
            assert outcome == "ok", (shell, events)


# -- becoming root ------------------------------------------------------------------------------------------

WHO = 'note(str(os.geteuid()))\nsay(event="done", ok=True)\nreturn 0\n'


def test_becomes_root_without_a_password(way: Way, host: LabHost, tmp_path: Path) -> None:
    archive = host_side(tmp_path, WHO)
    assert one(way(host, "deploy"), archive)[1][0] != note(host.name, "0")
    _, events = one(way(host, "deploy", become=True), archive)
    assert events[0] == note(host.name, "0")
    assert ended(events).executions == 1


def test_becomes_root_with_a_password_that_nobody_can_read(
    way: Way, host: LabHost, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (host.root / "home/ops/secret").write_text("pass-w0rd\n")
    host.exec(["sh", "-c", "echo ops:pass-w0rd | chpasswd"])
    look = """
    import glob
    seen = b""
    for path in glob.glob("/proc/[0-9]*/cmdline") + glob.glob("/proc/[0-9]*/environ"):
        try:
            seen += open(path, "rb").read()
        except OSError:
            pass
    note(str(os.geteuid()) + " " + str(b"pass-w0rd" in seen))
    say(event="done", ok=True)
    return 0
    """
    try:
        connection = way(host, "ops", become=True, asks_password=True)
        _, events = one(connection, host_side(tmp_path, look), password="pass-w0rd")
    finally:
        host.exec(["sh", "-c", "echo ops:ops | chpasswd; rm /home/ops/secret"])
    assert events[0] == note(host.name, "0 False")
    assert ended(events).executions == 1
    assert "pass-w0rd" not in str(events) + str(capfd.readouterr())


def test_a_password_at_hand_is_not_sent_where_none_is_asked_for(
    way: Way, host: LabHost, tmp_path: Path
) -> None:
    archive = host_side(tmp_path, WHO)
    for user in ("deploy", "root"):
        outcome, events = one(way(host, user, become=True, asks_password=True), archive, password="ops")
        assert outcome == "ok"
        assert events[0] == note(host.name, "0")


def test_a_wrong_password_is_tried_once(way: Way, host: LabHost, tmp_path: Path) -> None:
    outcome, events = one(
        way(host, "ops", become=True, asks_password=True), host_side(tmp_path, WHO), password="wrong"
    )
    assert outcome == "unreachable"
    assert isinstance(events[-1], Unreachable)
    assert events[-1].finding.message == "sudo did not accept the password"
    assert "provision-sudo" not in str(events)


def test_sudo_that_wants_a_password_is_told(way: Way, host: LabHost, tmp_path: Path) -> None:
    found = why(way(host, "ops", become=True), host_side(tmp_path, WHO))
    assert found.finding.message == "sudo wants a password"
    assert found.finding.hint is not None
    assert "--ask-become-pass" in found.finding.hint


def test_a_sudo_that_makes_a_terminal_of_its_own(way: Way, lab_host: LabHost, tmp_path: Path) -> None:
    (lab_host.root / "etc/sudoers.d/pty").write_text("Defaults use_pty\n")
    body = """
    import hashlib
    note(hashlib.sha256(request).hexdigest())
    hello()
    until_input_ends()
    open("/var/tmp/told", "w").close()
    say(event="done", ok=False)
    return 1
    """
    archive = host_side(tmp_path, body)
    request = os.urandom(1_000_000)
    for user, password in (("deploy", None), ("ops", "ops")):
        events: list[Event] = []

        def listen(event: Event) -> None:
            events.append(event)  # noqa: B023 - called in this very turn
            if isinstance(event, Hello):
                os.kill(os.getpid(), signal.SIGINT)

        connection = way(lab_host, user, become=True, asks_password=password is not None)
        run([Target(connection, request)], None, listen, password=password, archive=archive)
        assert events[0] == note(lab_host.name, hashlib.sha256(request).hexdigest())
        assert isinstance(events[-1], Done)
        assert is_told(lab_host)
        (lab_host.root / "var/tmp/told").unlink()


def test_a_question_is_answered_in_the_same_execution(way: Way, lab_host: LabHost, tmp_path: Path) -> None:
    (lab_host.root / "etc/sudoers.d/pty").write_text("Defaults:deploy use_pty\n")
    archive = asks(tmp_path, 2)
    for user, password in (("root", None), ("root", None), ("deploy", None), ("ops", "ops")):
        connection = way(lab_host, user, become=user != "root", asks_password=password is not None)
        outcome, events = one(connection, archive, password=password)
        assert outcome == "ok"
        assert [each for each in events if isinstance(each, Note)] == [AGREED.replace(host=lab_host.name)] * 2
        assert ended(events).executions == 1


def test_no_sudo_is_told(way: Way, lab_host: LabHost, tmp_path: Path) -> None:
    lab_host.exec(["mv", "/usr/bin/sudo", "/usr/bin/not-sudo"])
    found = why(way(lab_host, "deploy", become=True), host_side(tmp_path, WHO))
    assert found.finding.message == "sudo is not installed on the host"


# -- not reached --------------------------------------------------------------------------------------------


def test_host_keys_are_checked(way: Way, lab: Lab, tmp_path: Path) -> None:
    archive = host_side(tmp_path, ANSWER)
    host, other = lab["h1"], lab["h2"]
    unknown = why(way(host, options=("UserKnownHostsFile=/dev/null",)), archive)
    assert unknown.finding.message == f"the host key of {host.address} is not known"
    line = next(line for line in lab.known_hosts.read_text().splitlines() if line.startswith(other.address))
    known = tmp_path / "known_hosts"
    known.write_text(line.replace(other.address, host.address, 1) + "\n")
    changed = why(way(host, options=(f"UserKnownHostsFile={known}",)), archive)
    assert changed.finding.message.startswith(f"the host key of {host.address} has changed")
    assert unknown.executions == changed.executions == 0


@pytest.mark.parametrize("found_by", ["option", "second file", "ssh_config", "hashed", "alias", "jump host"])
def test_what_is_advised_for_a_changed_host_key_forgets_it(
    way: Way, lab: Lab, tmp_path: Path, found_by: str
) -> None:
    archive = host_side(tmp_path, ANSWER)
    host, other = lab["h1"], lab["h2"]
    keys = {line.split()[0]: line for line in lab.known_hosts.read_text().splitlines()}
    name = {"alias": "known-as", "jump host": other.address}.get(found_by, host.address)
    wrong = keys[host.address if found_by == "jump host" else other.address]
    known, empty, config = tmp_path / "the known hosts", tmp_path / "none", tmp_path / "config"
    known.write_text(" ".join([name, *wrong.split()[1:]]) + "\n")
    empty.write_text("")
    config.write_text(f'Host *\n  UserKnownHostsFile "{known}"\n  IdentityFile {lab.key}\n  User root\n')
    if found_by == "hashed":
        subprocess.run(["ssh-keygen", "-H", "-f", str(known)], capture_output=True, check=True)
    options = {
        "second file": (f'UserKnownHostsFile="{empty}" "{known}"',),
        "ssh_config": ("-F", str(config)),
        "alias": (f'UserKnownHostsFile="{known}"', "HostKeyAlias=known-as"),
        "jump host": ("-F", str(config), "-J", other.address),
    }.get(found_by, (f'UserKnownHostsFile="{known}"',))
    connection = way(host, options=(*options, "GlobalKnownHostsFile=none"))
    changed = why(connection, archive)
    assert changed.finding.message == f"the host key of {name} has changed ({known} line 1 has another)"
    assert changed.finding.hint is not None
    forget, look = changed.finding.hint.split("`")[1::2]
    assert forget == f"ssh-keygen -f '{known}' -R {name}"
    assert look == connection.by_hand()
    subprocess.run(forget, shell=True, check=True, capture_output=True)
    assert "has changed" not in why(connection, archive).finding.message
    # Whoever looks by hand, in the same way, is asked about the new key, or sees why not.
    asked = subprocess.run(
        f"{look} true", shell=True, stdin=subprocess.DEVNULL, capture_output=True, text=True
    )
    assert "Host key verification failed" in asked.stderr


def test_the_name_of_a_host_key_on_another_port_holds_the_port() -> None:
    said = (
        "Offending ED25519 key in /home/me/.ssh/known_hosts:7\r\n  remove with:\r\n"
        "Host key for [gate]:2222 has changed and you have requested strict checking.\r\n"
    )
    found = Ssh(host="gate", address="gate", port=2222, user="ops").explain(255, said)
    assert found.hint is not None
    assert "-f /home/me/.ssh/known_hosts -R '[gate]:2222'`" in found.hint
    assert "`ssh -o StrictHostKeyChecking=ask -p 2222 ops@gate`" in found.hint


def test_a_key_that_is_not_accepted(way: Way, host: LabHost, tmp_path: Path) -> None:
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(tmp_path / "key")], check=True)
    found = why(way(host, identity_file=str(tmp_path / "key")), host_side(tmp_path, ANSWER))
    assert found.finding.message.startswith(f"root@{host.address} was not let in: permission denied")


def test_a_key_with_a_passphrase_is_not_waited_for(way: Way, host: LabHost, tmp_path: Path) -> None:
    key = tmp_path / "key"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "secret", "-f", str(key)], check=True)
    assert (
        "permission denied"
        in why(way(host, identity_file=str(key)), host_side(tmp_path, ANSWER)).finding.message
    )


def test_nobody_listens(way: Way, host: LabHost, tmp_path: Path) -> None:
    found = why(way(host, port=9), host_side(tmp_path, ANSWER))
    assert found.finding.message == f"connection refused by {host.address} port 9"


def test_one_that_takes_connections_and_says_nothing(way: Way, host: LabHost, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        connection = way(host, address="127.0.0.1", port=silent.getsockname()[1])
        archive = host_side(tmp_path, ANSWER)
        for limit in (3, 60):  # the second for a machine on which ssh has not given up by then
            found = why(connection, archive, Limits(connect=limit))
            if found.finding.message != f"no answer within {limit} s":
                break
        assert found.finding.message == "127.0.0.1 accepts the connection but no ssh server greets"
        assert found.executions == 0


def test_one_that_greets_and_then_says_nothing(way: Way, host: LabHost, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:

        def greet() -> None:
            connection, _ = silent.accept()
            connection.sendall(b"SSH-2.0-OpenSSH_9.2p1\r\n")
            while connection.recv(4096):
                pass

        threading.Thread(target=greet, daemon=True).start()
        connection = way(host, address="127.0.0.1", port=silent.getsockname()[1])
        connection = replace(connection, options=(*connection.options, "ConnectTimeout=60"))
        assert (
            why(connection, host_side(tmp_path, ANSWER), Limits(connect=3)).finding.message
            == "no answer within 3 s"
        )


def test_an_account_that_may_not_log_in(way: Way, lab_host: LabHost, tmp_path: Path) -> None:
    lab_host.exec(["usermod", "-s", "/usr/sbin/nologin", "deploy"])
    found = why(way(lab_host, "deploy"), host_side(tmp_path, ANSWER))
    assert found.finding.message == "This account is currently not available."


# -- lost ---------------------------------------------------------------------------------------------------

STAY = "hello()\nuntil_input_ends()\nopen('/var/tmp/told', 'w').close()\nreturn 1\n"


def test_a_connection_that_is_cut_was_lost(way: Way, lab_host: LabHost, tmp_path: Path) -> None:
    def cut(event: Event) -> None:
        if isinstance(event, Hello):
            lab_host.exec(["pkill", "-f", "sshd: root"])

    outcome, events = one(way(lab_host), host_side(tmp_path, STAY), on_event=cut)
    assert outcome == "unreachable"
    assert isinstance(events[-1], Unreachable)
    assert events[-1].begun
    assert events[-1].finding.message.startswith("the connection was lost: ")
    assert is_told(lab_host)


def test_a_kept_connection_whose_ssh_is_killed_was_lost(way: Way, host: LabHost, tmp_path: Path) -> None:
    connection = way(host)
    one(connection, host_side(tmp_path / "answers", ANSWER))

    def kill(event: Event) -> None:
        if isinstance(event, Hello):
            check = ["ssh", "-O", "check", "-o", f"ControlPath={connection.socket}", connection.address]
            said = subprocess.run(check, capture_output=True, text=True, check=True).stderr
            os.kill(int(said.partition("pid=")[2].partition(")")[0]), signal.SIGKILL)

    outcome, events = one(connection, host_side(tmp_path / "stays", STAY), on_event=kill)
    assert outcome == "unreachable"
    assert isinstance(events[-1], Unreachable)
    assert events[-1].finding.code == "connection-lost"


def test_a_host_that_loses_power_was_lost(way: Way, lab_host: LabHost, tmp_path: Path) -> None:
    def pull(event: Event) -> None:
        if isinstance(event, Hello):
            lab_host.stop()

    connection = way(lab_host)
    options = (*connection.options, "ServerAliveInterval=1", "ServerAliveCountMax=2")
    outcome, events = one(replace(connection, options=options), host_side(tmp_path, STAY), on_event=pull)
    assert outcome == "unreachable"
    assert isinstance(events[-1], Unreachable)
    assert events[-1].begun
    assert events[-1].finding.message.startswith(
        "the connection was lost: "
    )  # ssh has noticed, before our patience ends


def test_a_cancelled_run_tells_the_host(way: Way, lab_host: LabHost, tmp_path: Path) -> None:
    def interrupt(event: Event) -> None:
        if isinstance(event, Hello):
            os.kill(os.getpid(), signal.SIGINT)

    outcome, events = one(way(lab_host), host_side(tmp_path, STAY), on_event=interrupt)
    assert outcome == "cancelled"
    assert isinstance(events[-1], Error)
    assert events[-1].finding.message == "cancelled"
    assert is_told(lab_host)


@pytest.mark.parametrize("become", [False, True])
def test_a_controller_that_is_killed_cancels_the_work(
    way: Way, lab_host: LabHost, tmp_path: Path, become: bool
) -> None:
    archive = host_side(tmp_path, STAY)
    program = f"""
import pathlib
from provision.connect import Ssh
from provision.transport.archive import Archive
from provision.rollout.run import run
from provision.transport.target import Target
target = Target({way(lab_host, "deploy", become=become)!r}, b"x")
archive = Archive(pathlib.Path({str(archive.package)!r}))
run([target], None, lambda event: print(event.NAME, flush=True), archive=archive)
"""
    environment = {**os.environ, "XDG_RUNTIME_DIR": str(way(lab_host).directory)}
    with subprocess.Popen(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, text=True, env=environment
    ) as controller:
        assert controller.stdout
        assert controller.stdout.readline() == "hello\n"
        controller.kill()
    assert is_told(lab_host)


# -- kept connections that have gone bad --------------------------------------------------------------------


@pytest.mark.parametrize("early", [False, True])
def test_a_socket_that_nobody_listens_to(early: bool, way: Way, host: LabHost, tmp_path: Path) -> None:
    connection = way(host)
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(connection.socket))
    ahead = begun(connection) if early else None
    outcome, events = one(connection, host_side(tmp_path, ANSWER), ahead=ahead)
    assert (outcome, ended(events).executions) == ("ok", 1)
    assert connection.kept()


@pytest.mark.parametrize("early", [False, True])
def test_a_socket_whose_owner_does_not_answer(early: bool, way: Way, host: LabHost, tmp_path: Path) -> None:
    connection = way(host)
    with socket.socket(socket.AF_UNIX) as stuck:
        stuck.bind(str(connection.socket))
        stuck.listen(8)
        ahead = begun(connection) if early else None
        outcome, events = one(connection, host_side(tmp_path, ANSWER), limits=Limits(kept=1), ahead=ahead)
    assert (outcome, ended(events).executions) == ("ok", 1)
    assert connection.kept()


@pytest.mark.parametrize("early", [False, True])
def test_a_kept_connection_that_takes_no_more_commands(
    early: bool, way: Way, lab_host: LabHost, tmp_path: Path
) -> None:
    (lab_host.root / "etc/ssh/sshd_config.d/one.conf").write_text("MaxSessions 1\n", encoding="ascii")
    lab_host.exec(["systemctl", "restart", "ssh"])
    connection, archive = way(lab_host), host_side(tmp_path, ANSWER)
    one(connection, archive)
    with subprocess.Popen(connection.argv("sleep 1000"), stdin=subprocess.DEVNULL) as busy:
        lab_host.exec(["sh", "-c", "until pgrep -x sleep; do sleep 0.1; done"])
        outcome, events = one(connection, archive, ahead=begun(connection) if early else None)
        busy.kill()
    assert (outcome, ended(events).executions) == ("ok", 1)


def test_a_host_that_was_booted_again(way: Way, lab_host: LabHost, tmp_path: Path) -> None:
    archive = host_side(tmp_path, ANSWER)
    one(way(lab_host), archive)
    assert way(lab_host).kept()
    lab_host.reboot()
    outcome, events = one(way(lab_host), archive, limits=Limits(kept=2))
    assert (outcome, ended(events).executions) == ("ok", 1)


# -- what is missing on a host ------------------------------------------------------------------------------


def test_a_host_without_python_is_given_one(
    way: Way, boot_host: Callable[..., LabHost], tmp_path: Path
) -> None:
    host = boot_host(base=Base(python=False))
    archive = host_side(tmp_path, ANSWER)
    outcome, events = one(way(host, "deploy", become=True), archive)
    assert outcome == "failed"
    assert isinstance(events[-1], Error)
    assert events[-1].finding.message == "there is no python3 on the host"
    outcome, events = one(way(host, "deploy"), archive, install_python=True)
    assert outcome == "unreachable"
    assert isinstance(events[-1], Unreachable)
    assert events[-1].finding.message == "python3 could not be installed: only root can install python3"
    outcome, events = one(way(host, "deploy", become=True), archive, install_python=True)
    assert [type(event) for event in events] == [Bootstrapped, Hello, Note, Done]
    assert (outcome, ended(events).executions) == ("ok", 2)
    outcome, events = one(way(host, "deploy", become=True), archive, install_python=True)
    assert (outcome, ended(events).executions) == ("ok", 1)


def small(host: LabHost, *paths: str) -> None:
    """Make directories that are full: each on a disk of its own of 64 kB."""
    for path in paths:
        host.exec(["mkdir", "-p", path])
        host.exec(["mount", "-t", "tmpfs", "-o", "size=64k,mode=1777", "small", path])


WHERE = 'note(place)\nsay(event="done", ok=True)\nreturn 0\n'


def big(directory: Path) -> Archive:
    archive = host_side(directory, WHERE)
    (archive.package / "host" / "filler.py").write_text(f"filler = {os.urandom(300_000).hex()!r}")
    return archive


def test_a_full_disk_is_gone_round_and_named_when_there_is_no_way_round(
    way: Way, lab_host: LabHost, tmp_path: Path
) -> None:
    small(lab_host, "/root/.cache")
    _, events = one(way(lab_host), big(tmp_path / "1"))
    assert events[0] == note(lab_host.name, "/var/tmp/provision-0")
    small(lab_host, "/var/tmp", "/dev/shm")
    outcome, events = one(way(lab_host), big(tmp_path / "2"))
    assert outcome == "failed"
    assert isinstance(events[-1], Error)
    assert events[-1].finding.message.startswith("provision finds no place for its own ")
    for place in ("/root/.cache/provision", "/var/tmp/provision-0", "/dev/shm/provision-0"):
        assert f"{place}: No space left on device" in events[-1].finding.message
    left = lab_host.exec(["find", "/root/.cache", "/var/tmp", "/dev/shm", "-name", ".new-*"]).stdout
    assert left == ""


def test_a_user_without_a_home(way: Way, lab_host: LabHost, tmp_path: Path) -> None:
    lab_host.exec(["usermod", "-d", "/nonexistent", "deploy"])
    lab_host.exec(["install", "-D", "-m644", "/root/.ssh/authorized_keys", "/etc/ssh/keys/deploy"])
    (lab_host.root / "etc/ssh/sshd_config.d/keys.conf").write_text("AuthorizedKeysFile /etc/ssh/keys/%u\n")
    lab_host.exec(["systemctl", "restart", "ssh"])
    uid = lab_host.exec(["id", "-u", "deploy"]).stdout.strip()
    outcome, events = one(way(lab_host, "deploy"), big(tmp_path))
    assert outcome == "ok"
    assert events[0] == note(lab_host.name, f"/var/tmp/provision-{uid}")


def test_a_python_that_is_too_old(way: Way, lab_host: LabHost, tmp_path: Path) -> None:
    old = lab_host.root / "usr/local/bin/python3.7"
    old.write_text(
        '#!/bin/sh\nshift 3\nexec python3 -I -S -c "import sys; sys.version_info = (3, 7, 4)\n$1"\n'
    )
    old.chmod(0o755)
    outcome, events = one(way(lab_host, python="python3.7"), host_side(tmp_path, ANSWER))
    assert outcome == "failed"
    assert isinstance(events[-1], Error)
    assert "Python 3.7" in events[-1].finding.message
