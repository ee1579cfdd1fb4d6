"""One remote execution, with real shells, real Pythons, and host sides that behave in all sorts of ways."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from provision import __version__
from provision.rollout.run import run
from provision.transport.target import Limits, Target
from provision.wire.events import Done, Error, Event, Hello, Note
from provision.wire.rollout import Unreachable
from tests.unit.rollout.standin import Raw, ended, go, here, host_side, note

ANSWER = """
hello()
note(request.decode())
say(event="done", ok=True, counts={"ok": 1}, seconds=0.1)
return 0
"""


def lost(events: list[Event]) -> Unreachable:
    event = events[-1]
    assert isinstance(event, Unreachable)
    return event


def test_a_request_goes_there_and_events_come_back(tmp_path: Path) -> None:
    request = json.dumps({"text": "你好 'quoted' $(x) \\ \n"}).encode()
    summary, events = go([here(request=request)], host_side(tmp_path, ANSWER))
    assert [type(event) for event in events] == [Hello, Note, Done]
    assert events[1] == note("here", request.decode())
    assert summary.outcomes["here"] == "ok"
    assert (ended(events).executions, ended(events).counts) == (1, {"ok": 1})
    assert ended(events).sent > len(request)


def test_the_archive_is_sent_once(tmp_path: Path) -> None:
    filler = "".join(random.Random(time.time_ns()).choices("0123456789abcdef", k=200_000))
    archive = host_side(tmp_path, ANSWER + f"# {filler}\n")
    first, second = (ended(go([here()], archive)[1]) for _ in range(2))
    assert first.sent > 100_000
    assert second.sent < 10_000
    assert first.executions == second.executions == 1


def test_a_big_request_arrives_whole(tmp_path: Path) -> None:
    request = os.urandom(8 << 20)
    body = """
    import hashlib
    hello()
    note(hashlib.sha256(request).hexdigest())
    say(event="done", ok=True)
    return 0
    """
    import hashlib

    _, events = go([here(request=request)], host_side(tmp_path, body))
    assert events[1] == note("here", hashlib.sha256(request).hexdigest())


def test_a_big_event_arrives_whole(tmp_path: Path) -> None:
    body = """
    note("x" * 5_000_000)
    say(event="done", ok=True)
    return 0
    """
    _, events = go([here()], host_side(tmp_path, body))
    assert events[0] == note("here", "x" * 5_000_000)


def test_lines_may_come_in_pieces(tmp_path: Path) -> None:
    body = """
    for byte in '{"event":"note","finding":{"code":"code","message":"\\u4f60"}}'.encode():
        os.write(1, bytes([byte]))
        time.sleep(0.002)
    os.write(1, b"\\n")
    os.write(1, b'{"event":"done","ok":true}')
    return 0
    """
    summary, events = go([here()], host_side(tmp_path, body))
    assert events[0] == note("here", "你")
    assert summary.outcomes["here"] == "ok"


def test_what_a_login_shell_prints_is_skipped(tmp_path: Path) -> None:
    noise = 'printf \'Welcome to gpu! {"event":"done","ok":false} \'; echo noise >&2; '

    class Noisy(Raw):
        def argv(self, script: str, patience: float = 15) -> list[str]:
            return ["sh", "-c", noise + script]

    summary, events = go([Target(Noisy(""), b"{}")], host_side(tmp_path, ANSWER))
    assert summary.outcomes["raw"] == "ok"
    assert [type(event) for event in events] == [Hello, Note, Done]


def test_noise_is_kept_for_the_error() -> None:
    _, events = go([Target(Raw("echo This account is currently not available.; exit 1"), b"{}")], None)
    assert lost(events).finding.message == "exit 1: This account is currently not available."
    assert lost(events).finding.log == ["This account is currently not available."]
    assert not lost(events).begun


def test_noise_cannot_steer_the_terminal() -> None:
    _, events = go(
        [Target(Raw(r"printf 'Go \033[2Jaway\n'; printf 'or \033]0;x\a\n' >&2; exit 1"), b"{}")], None
    )
    assert lost(events).finding.log == [r"Go \x1b[2Jaway", r"or \x1b]0;x\x07"]
    assert lost(events).finding.message == r"exit 1: or \x1b]0;x\x07"


@pytest.mark.parametrize(
    ("event", "why"),
    [
        ('event="surprise"', "unknown event 'surprise'"),
        ('event="line", service="s"', "Line lacks `text`"),
        ('event="line", service="s", text="t", colour="red"', "Line has no field `colour`"),
    ],
)
def test_what_is_no_event_of_this_version_fails_with_both_versions(
    tmp_path: Path, event: str, why: str
) -> None:
    body = f'hello()\nsay({event})\nsay({event})\nsay(event="done", ok=True)\nreturn 0\n'
    summary, events = go([here()], host_side(tmp_path, body))
    assert [type(event) for event in events] == [Hello, Error]  # it is not listened to any more
    assert isinstance(events[1], Error)
    assert events[1].finding.message == (
        f"unrecognized message from host: {why} (provision {__version__} here, 0 there)"
    )
    assert summary.outcomes["here"] == "failed"


def test_a_newer_host_side_is_named_by_its_version(tmp_path: Path) -> None:
    body = 'say(event="hello", provision="99.1", moon="full")\nsay(event="done", ok=True)\nreturn 0\n'
    _, events = go([here()], host_side(tmp_path, body))
    assert isinstance(events[0], Error)
    assert events[0].finding.message.endswith(f"(provision {__version__} here, 99.1 there)")


def test_a_host_side_that_fails_says_so(tmp_path: Path) -> None:
    body = 'hello()\nsay(event="error", finding=finding("no"))\nsay(event="done", ok=False)\nreturn 1\n'
    summary, events = go([here()], host_side(tmp_path, body))
    assert summary.outcomes["here"] == "failed"
    assert isinstance(events[-1], Done)


def test_a_host_side_that_dies_was_lost(tmp_path: Path) -> None:
    body = "hello()\nos.write(2, b'Killed by somebody\\n')\nos.kill(os.getpid(), 9)\n"
    summary, events = go([here()], host_side(tmp_path, body))
    assert summary.outcomes["here"] == "unreachable"
    assert lost(events).begun
    assert (
        lost(events).finding.message
        == "somebody or something on the host killed provision's process there (SIGKILL)"
    )
    assert "`dmesg` on the host says so" in (lost(events).finding.hint or "")
    assert lost(events).executions == 1


def test_a_host_side_that_cannot_be_loaded_is_no_traceback(tmp_path: Path) -> None:
    archive = host_side(tmp_path, "return 0\n")
    (archive.package / "host" / "main.py").write_text("from no_such_module import main\n")
    _, events = go([here()], archive)
    assert not lost(events).begun
    assert (
        lost(events).finding.message
        == "python3 did not start: ModuleNotFoundError: No module named 'no_such_module'"
    )


def test_silence_ends_a_host(tmp_path: Path) -> None:
    body = f"hello()\nopen({str(tmp_path / 'pid')!r}, 'w').write(str(os.getpid()))\ntime.sleep(600)\n"
    archive = host_side(tmp_path, body)
    for silence in (3, 60):  # the second for a machine so slow that its first word comes too late
        begin = time.monotonic()
        summary, events = go([here()], archive, Limits(connect=120, silence=silence))
        assert time.monotonic() - begin < 300
        assert summary.outcomes["here"] == "unreachable"
        assert f"no sign of life for {silence} s" in lost(events).finding.message
        if lost(events).begun:
            break
    assert lost(events).begun
    assert not Path(f"/proc/{(tmp_path / 'pid').read_text()}").exists()


def test_signs_of_life_keep_a_host_alive(tmp_path: Path) -> None:
    for limit in (3.0, 60.0):  # the second for a machine that stood still meanwhile
        body = f"""
        hello()
        for _ in range(32):
            time.sleep({limit / 12})
            say(event="heartbeat")
        say(event="done", ok=True)
        return 0
        """
        archive = host_side(tmp_path / str(limit), body)
        summary, events = go([here()], archive, Limits(connect=limit, kept=limit, silence=limit))
        if summary.outcomes["here"] == "ok":
            break
    assert summary.outcomes["here"] == "ok"
    assert [type(event) for event in events] == [Hello, Done]


def test_no_first_word_is_bounded() -> None:
    begin = time.monotonic()
    limits = Limits(connect=0.5, kept=0.5)
    summary, events = go([Target(Raw("exec sleep 600"), b"{}")], None, limits)
    assert time.monotonic() - begin < 300
    assert summary.outcomes["raw"] == "unreachable"
    assert lost(events).finding.message == "no answer within 0.5 s"
    assert lost(events).executions == 0


def test_a_process_that_does_not_want_to_end_is_ended() -> None:
    limits = Limits(connect=0.5, kept=0.5)
    begin = time.monotonic()
    go([Target(Raw("trap '' TERM; while :; do sleep 0.2; done"), b"{}")], None, limits)
    assert time.monotonic() - begin < 300


def test_a_flood_on_standard_error_is_bounded_and_blocks_nobody(tmp_path: Path) -> None:
    body = """
    hello()
    for _ in range(500):
        os.write(2, b"y" * 99_999 + b"\\n")
    os.write(2, b"the end\\n")
    return 3
    """
    _, events = go([here()], host_side(tmp_path, body))
    assert lost(events).finding.message == "provision's process on the host ended before it was done: the end"
    assert sum(map(len, lost(events).finding.log)) < 100_000


def test_a_line_without_end_is_dropped(tmp_path: Path) -> None:
    body = """
    for _ in range(700):
        os.write(1, b"z" * 50_000)
    os.write(1, b"\\n")
    say(event="done", ok=True)
    return 0
    """
    summary, _ = go([here()], host_side(tmp_path, body))
    assert summary.outcomes["here"] == "ok"


def test_a_descendant_that_keeps_the_pipes_is_not_waited_for(tmp_path: Path) -> None:
    body = """
    import subprocess
    hello()
    child = subprocess.Popen(["sleep", "600"])
    note(str(child.pid))
    say(event="done", ok=True)
    return 0
    """
    begin = time.monotonic()
    summary, events = go([here()], host_side(tmp_path, body))
    assert time.monotonic() - begin < 300
    assert summary.outcomes["here"] == "ok"
    assert isinstance(events[1], Note)
    os.kill(int(events[1].finding.message), 9)


def test_one_that_does_not_go_after_it_was_done_is_ended(tmp_path: Path) -> None:
    body = 'hello()\nsay(event="done", ok=True)\ntime.sleep(600)\n'
    begin = time.monotonic()
    summary, _ = go([here()], host_side(tmp_path, body), Limits(connect=120, ending=0.5))
    assert time.monotonic() - begin < 300
    assert summary.outcomes["here"] == "ok"


def test_a_python_that_is_not_there_is_an_error() -> None:
    summary, events = go([here(python="python3.99")], None)
    assert summary.outcomes["here"] == "failed"
    (error,) = events
    assert isinstance(error, Error)
    assert error.finding.message == "there is no python3.99 on the host"
    assert error.finding.hint == "correct `python:` of this host"


def test_a_python_that_does_not_start_is_explained() -> None:
    _, events = go([here(python="/bin/false")], None)
    assert lost(events).finding.message == "/bin/false did not start: exit code 1"


def test_a_connection_that_cannot_be_started_is_explained(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    _, events = go([Target(Raw("true"), b"{}")], None)
    assert lost(events).finding.message == "the program sh is not on this machine"


def test_secrets_of_the_request_are_on_no_command_line_and_in_no_environment(tmp_path: Path) -> None:
    body = """
    hello()
    pid, seen = os.getpid(), b""
    while pid > 1:
        for name in ("cmdline", "environ"):
            seen += open("/proc/%d/%s" % (pid, name), "rb").read()
        pid = int(open("/proc/%d/stat" % pid).read().rsplit(")", 1)[1].split()[1])
    note(str(request in seen))
    say(event="done", ok=True)
    return 0
    """
    _, events = go([here(request=b"s3cret-of-the-request")], host_side(tmp_path, body))
    assert events[1] == note("here", "False")


def test_no_threads(tmp_path: Path) -> None:
    archive = host_side(tmp_path, ANSWER)
    threads: set[threading.Thread] = set()

    def look(event: Event) -> None:
        threads.update(threading.enumerate())

    before = set(threading.enumerate())  # some may be left of other tests, and end meanwhile
    run([here(str(number)) for number in range(5)], None, look, archive=archive)
    assert threads <= before


def test_leaves_no_descriptor_open(tmp_path: Path) -> None:
    archive = host_side(tmp_path, ANSWER)
    go([here()], archive)
    before = len(os.listdir("/proc/self/fd"))
    go([here(str(number)) for number in range(5)], archive)
    assert len(os.listdir("/proc/self/fd")) <= before  # fewer, when those of other tests are collected


def test_a_controller_that_is_killed_cancels_the_work(tmp_path: Path) -> None:
    archive = host_side(
        tmp_path,
        f"hello()\nuntil_input_ends()\nopen({str(tmp_path / 'told')!r}, 'w').close()\nreturn 0\n",
    )
    program = f"""
import pathlib
from tests.unit.rollout.standin import go, here
from provision.transport.archive import Archive
from provision.rollout.run import run
archive = Archive(pathlib.Path({str(archive.package)!r}))
run([here()], None, lambda event: print(event.NAME, flush=True), archive=archive)
"""
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True) as controller:
        assert controller.stdout
        assert controller.stdout.readline() == "hello\n"
        controller.kill()
    deadline = time.monotonic() + 60
    while not (tmp_path / "told").exists():
        assert time.monotonic() < deadline
        time.sleep(0.05)
