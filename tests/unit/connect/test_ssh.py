"""The ssh command line, the socket of kept connections, and what OpenSSH's messages mean."""

from __future__ import annotations

import os
import shlex
import socket
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from provision.connect import Ssh
from provision.connect.ssh import socket_directory


def ssh(**more: object) -> Ssh:
    return Ssh(**{"host": "gpu", "address": "10.0.0.12", "directory": None, **more})  # type: ignore[arg-type]


def effective(connection: Ssh, tmp_path: Path, config: str = "") -> dict[str, str]:
    """What OpenSSH itself makes of the command line, with this ssh_config."""
    file = tmp_path / "config"
    file.write_text(config)
    argv = connection.argv("true")
    shown = subprocess.run(
        [argv[0], "-G", "-F", str(file), *argv[1:-1]], capture_output=True, text=True, check=True
    )
    return dict(line.split(" ", 1) for line in shown.stdout.splitlines() if " " in line)


def test_host_keys_are_checked_whatever_ssh_config_says(tmp_path: Path) -> None:
    assert effective(ssh(), tmp_path, "StrictHostKeyChecking no\n")["stricthostkeychecking"] == "true"
    trusting = ssh(options=("StrictHostKeyChecking=accept-new",))
    assert effective(trusting, tmp_path)["stricthostkeychecking"] == "accept-new"
    for careless in ("StrictHostKeyChecking=no", "-oStrictHostKeyChecking=off", "stricthostkeychecking no"):
        assert effective(ssh(options=(careless,)), tmp_path)["stricthostkeychecking"] == "true"


def test_never_asks_and_never_waits_for_ever(tmp_path: Path) -> None:
    found = effective(ssh(), tmp_path)
    assert found["batchmode"] == "yes"
    assert int(found["connecttimeout"]) > 0
    assert int(found["serveraliveinterval"]) * int(found["serveralivecountmax"]) <= 60


def test_ssh_gives_up_before_nobody_listens_to_why(tmp_path: Path) -> None:
    for patience in (15.0, 60.0, 2.5):
        argv = ssh().argv("true", patience)
        given = next(int(word.split("=")[1]) for word in argv if word.startswith("ConnectTimeout="))
        assert patience / 3 < given < patience


def test_settings_for_terminals_in_ssh_config_do_not_get_in_the_way(tmp_path: Path) -> None:
    config = "RequestTTY force\nRemoteCommand tmux attach\nLogLevel QUIET\nLocalForward 8080 localhost:80\n"
    found = effective(ssh(), tmp_path, config)
    assert found["requesttty"] == "false"
    assert found.get("remotecommand", "none") == "none"
    assert found["loglevel"] == "ERROR"
    assert found["clearallforwardings"] == "yes"


def test_own_multiplexing_settings_of_the_user_do_not_get_in_the_way(tmp_path: Path) -> None:
    config = "ControlMaster yes\nControlPath /nowhere/%C\nControlPersist no\n"
    found = effective(ssh(directory=str(tmp_path)), tmp_path, config)
    assert found["controlmaster"] == "auto"
    assert found["controlpath"].startswith(str(tmp_path))
    assert int(found["controlpersist"]) > 0


def test_ssh_config_decides_what_the_inventory_leaves_open(tmp_path: Path) -> None:
    config = "Host box\n  HostName 192.0.2.7\n  User ops\n  Port 2222\n  ProxyJump gate\n"
    found = effective(ssh(address="box"), tmp_path, config)
    assert (found["hostname"], found["user"], found["port"]) == ("192.0.2.7", "ops", "2222")
    assert found["proxyjump"] == "gate"
    found = effective(ssh(address="box", user="root", port=22), tmp_path, config)
    assert (found["user"], found["port"]) == ("root", "22")


def test_options_of_the_inventory_win(tmp_path: Path) -> None:
    found = effective(ssh(options=("ServerAliveInterval=3", "ControlPath=none")), tmp_path)
    assert found["serveraliveinterval"] == "3"
    assert found.get("controlpath", "none") == "none"


@pytest.mark.parametrize(
    "options",
    [
        ("ProxyJump=gate", "Port=23"),
        ("-J", "gate", "-p", "23"),
        ("-Jgate", "-oPort=23"),
        ("-o", "ProxyJump=gate", "Port=23"),
    ],
)
def test_options_may_be_written_either_way(tmp_path: Path, options: tuple[str, ...]) -> None:
    found = effective(ssh(options=options), tmp_path)
    assert (found["proxyjump"], found["port"]) == ("gate", "23")


def test_an_address_is_never_taken_for_an_option() -> None:
    argv = ssh(address="-oProxyCommand=touch /tmp/x").argv("true")
    assert argv[argv.index("--") + 1] == "-oProxyCommand=touch /tmp/x"


@given(st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1))
def test_a_script_arrives_as_it_is(text: str) -> None:
    remote = ssh().argv(f"printf %s {shlex.quote(text)}")[-1]
    shown = subprocess.run(["sh", "-c", remote], capture_output=True, check=True)
    assert shown.stdout == text.encode()


def test_socket_paths_are_short_enough_for_every_system(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    long = tmp_path / ("x" * 80)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(long))
    monkeypatch.setenv("XDG_CACHE_HOME", str(long))
    socket_directory.cache_clear()
    found = socket_directory()
    socket_directory.cache_clear()
    assert found is not None
    assert not found.startswith(str(long))
    path = ssh(directory=found).socket
    assert path is not None
    assert len(path) + len(".0123456789abcdef") < 104


def test_a_directory_that_others_can_enter_is_not_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runtime = Path("/tmp") / f"prov-test-{os.getpid()}"
    open_to_all = runtime / "provision"
    open_to_all.mkdir(parents=True)
    open_to_all.chmod(0o755)
    try:
        monkeypatch.setenv("XDG_RUNTIME_DIR", str(runtime))
        socket_directory.cache_clear()
        assert socket_directory() != str(open_to_all)
        open_to_all.chmod(0o700)
        socket_directory.cache_clear()
        assert socket_directory() == str(open_to_all)
    finally:
        socket_directory.cache_clear()
        open_to_all.rmdir()
        runtime.rmdir()


def test_connections_that_differ_do_not_share_a_socket() -> None:
    sockets = {
        ssh(directory="/d").socket,
        ssh(directory="/d", user="ops").socket,
        ssh(directory="/d", port=23).socket,
        ssh(directory="/d", identity_file="/k").socket,
        ssh(directory="/d", options=("ProxyJump=gate",)).socket,
    }
    assert len(sockets) == 5
    assert ssh(directory="/d", host="other name of the same").socket in sockets


def test_a_kept_connection_is_seen_and_forgotten() -> None:
    directory = Path(f"/tmp/prov-test-{os.getpid()}")
    directory.mkdir()
    connection = ssh(directory=str(directory))
    try:
        assert not connection.kept()
        assert connection.socket
        with socket.socket(socket.AF_UNIX) as server:
            server.bind(connection.socket)
            assert connection.kept()
            connection.forget()
            assert not connection.kept()
            connection.forget()
    finally:
        directory.rmdir()


CHANGED = """\
@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@
@    WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED!     @
@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@
IT IS POSSIBLE THAT SOMEONE IS DOING SOMETHING NASTY!
Offending ED25519 key in /home/me/.ssh/known_hosts:7
  remove with:
  ssh-keygen -f "/home/me/.ssh/known_hosts" -R "[gate]:2222"
Host key for [gate]:2222 has changed and you have requested strict checking.
Host key verification failed.
kex_exchange_identification: Connection closed by remote host
"""

UNPROTECTED = """\
@         WARNING: UNPROTECTED PRIVATE KEY FILE!          @
Permissions 0644 for '/home/me/key' are too open.
This private key will be ignored.
me@gpu: Permission denied (publickey).
"""


@pytest.mark.parametrize(
    ("stderr", "cause"),
    [
        (
            "ssh: Could not resolve hostname gpu: Name or service not known\r\n",
            "the name gpu is not known: Name or service not known",
        ),
        ("ssh: connect to host gpu port 22: Connection refused\r\n", "connection refused by gpu port 22"),
        ("ssh: connect to host gpu port 22: No route to host\r\n", "no way to gpu: No route to host"),
        (
            "ssh: connect to host gpu port 22: Network is unreachable\r\n",
            "no way to gpu: Network is unreachable",
        ),
        ("ssh: connect to host gpu port 22: Connection timed out\r\n", "no answer from gpu port 22"),
        (
            "Connection timed out during banner exchange\r\n",
            "10.0.0.12 accepts the connection but no ssh server greets",
        ),
        (CHANGED, "the host key of [gate]:2222 has changed (/home/me/.ssh/known_hosts line 7 has another)"),
        (
            "No ED25519 host key is known for gpu and you have requested strict checking.\r\n"
            "Host key verification failed.\r\n",
            "the host key of gpu is not known",
        ),
        (
            "me@gpu: Permission denied (publickey,password).\r\n",
            "me@gpu was not let in: permission denied (publickey,password)",
        ),
        (UNPROTECTED, "ssh does not use the key /home/me/key: others can read it (mode 0644)"),
        (
            "Warning: Identity file /k not accessible: No such file or directory.\n"
            "me@gpu: Permission denied (publickey).\n",
            "the key /k cannot be read: No such file or directory",
        ),
        (
            "Received disconnect from 10.0.0.12 port 22:2: Too many authentication failures\r\n",
            "the server turned away after too many keys were tried",
        ),
        (
            "Unable to negotiate with 10.0.0.12 port 22: no matching cipher found. Their offer: des\r\n",
            "ssh and 10.0.0.12 have no algorithm in common: no matching cipher found. Their offer: des",
        ),
        (
            "/home/me/.ssh/config: line 3: Bad configuration option: foo\r\n"
            "/home/me/.ssh/config: terminating, 1 bad configuration options\r\n",
            "the configuration of ssh is wrong: /home/me/.ssh/config: line 3: Bad configuration option: foo",
        ),
        # A jump host that is down: the first line tells, the second only follows from it.
        (
            "ssh: connect to host gate port 22: Connection refused\r\n"
            "Connection closed by UNKNOWN port 65535\r\n",
            "connection refused by gate port 22",
        ),
        ("something never seen before\n", "something never seen before"),
        ("", "ssh ended with exit code 255 and said nothing"),
    ],
)  # fmt: skip
def test_messages_of_openssh_are_explained(stderr: str, cause: str) -> None:
    assert ssh().explain(255, stderr).message == cause
