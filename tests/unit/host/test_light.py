"""The stand-ins, held against what they stand for; and a command's run, which is one, too."""

from __future__ import annotations

import hashlib
import json
import os
import threading
import time
import typing
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from provision.host.capture import capture
from provision.host.light import hashlib as light_hashlib
from provision.host.light import threading as light_threading
from provision.host.light import typing as light_typing
from provision.wire import plainjson

PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@given(PLAIN)
def test_json_is_written_and_read_as_the_json_package_does(value: Any) -> None:
    assert plainjson.dumps(value) == json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    ordered = json.dumps(value, ensure_ascii=False, separators=(",", ":"), sort_keys=True)
    assert plainjson.dumps(value, sort_keys=True) == ordered
    assert plainjson.loads(json.dumps(value, indent=2) + "\n") == value


@pytest.mark.parametrize("text", ["", " ", "{", "nul", "[1] 2", '{"a":}', '{"a":1,}', '"\x01"', "{'a': 1}"])
def test_what_is_no_json_is_a_value_error(text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011
        plainjson.loads(text)


def test_what_is_no_plain_data_is_not_written() -> None:
    with pytest.raises(TypeError, match="object is no plain data"):
        plainjson.dumps({"a": object()})


class Point(light_typing.NamedTuple):
    x: int
    y: int = 0

    def sum(self) -> int:
        return self.x + self.y


def test_a_named_tuple() -> None:
    assert Point(1) == (1, 0) == Point(x=1) == Point(1, y=0)
    assert Point(2, 3).sum() == 5
    assert Point(2, 3)._replace(y=4) == (2, 4)
    assert Point(2, 3)._asdict() == {"x": 2, "y": 3}
    x, y = Point(5, 6)
    assert (x, y) == (5, 6)
    assert repr(Point(1)) == "Point(x=1, y=0)"
    wrong: list[tuple[tuple[int, ...], dict[str, int]]] = [
        ((), {}),
        ((1, 2, 3), {}),
        ((1,), {"x": 1}),
        ((1,), {"z": 1}),
    ]
    for values, named in wrong:
        with pytest.raises(TypeError):
            Point(*values, **named)


def test_an_event_lets_all_go_that_wait_for_it() -> None:
    event = light_threading.Event()
    assert not event.wait(0)
    assert not event.wait(0.01)
    seen: list[bool] = []
    waiting = [threading.Thread(target=lambda: seen.append(event.wait(60))) for _ in range(5)]
    for each in waiting:
        each.start()
    event.set()
    event.set()
    for each in waiting:
        each.join(60)
    assert seen == [True] * 5
    assert event.is_set()
    assert event.wait(0)
    assert event.wait()


def test_sha256() -> None:
    assert light_hashlib.sha256(b"x").hexdigest() == hashlib.sha256(b"x").hexdigest()


def test_a_name_that_is_not_there_comes_from_the_standard_library() -> None:
    assert light_hashlib.md5 is hashlib.md5
    assert light_threading.Timer is threading.Timer
    assert light_typing.get_type_hints is typing.get_type_hints
    with pytest.raises(AttributeError):
        light_hashlib.no_such_thing  # noqa: B018


def test_names_of_typing_for_annotations() -> None:
    """As far as a module that is executed comes to evaluate them."""
    alias = light_typing.Dict[str, light_typing.Callable[[int], light_typing.Any]]
    variable = light_typing.TypeVar("variable", bound=alias)

    class Box(light_typing.Generic[variable]):
        def __init__(self, inside: int) -> None:
            self.inside = inside

    assert Box(1).inside == 1


def run(*argv: str, timeout: float | None = 60) -> tuple[int, str, str, bool]:
    pids: list[int] = []
    done = capture(argv, {**os.environ, "LC_ALL": "C.UTF-8"}, timeout, pids.append)
    with pytest.raises(ChildProcessError):
        os.waitpid(pids[0], os.WNOHANG)
    return done


def test_a_command_s_output_and_its_end() -> None:
    assert run("sh", "-c", "echo out; echo err >&2; exit 3") == (3, "out\n", "err\n", False)
    assert run("sh", "-c", "kill -TERM $$") == (-15, "", "", False)
    assert run("sh", "-c", r"printf 'a\r\nb\377'") == (0, "a\nb\ufffd", "", False)
    assert run("cat") == (0, "", "", False)
    assert run("head", "-c", "3000000", "/dev/zero")[1] == "\0" * 3000000


def test_a_command_gets_its_signals_as_any_program_does() -> None:
    """Python ignores SIGPIPE; `yes` would otherwise complain instead of ending."""
    assert run("sh", "-c", "yes | head -n 1") == (0, "y\n", "", False)


def test_nothing_of_ours_is_open_in_a_command(tmp_path: Path) -> None:
    with (tmp_path / "ours").open("w"):
        said = run("sh", "-c", "ls -l /proc/$$/fd")[1]
    assert "/dev/null" in said  # its standard input
    assert "ours" not in said


def test_a_command_that_runs_out_of_time_is_ended_with_all_that_it_started() -> None:
    for timeout in (0.2, 5, 60):  # the later ones for a slow machine, on which it has not begun by then
        code, out, _, late = run("sh", "-c", "sleep 600 & echo $!; wait", timeout=timeout)
        assert (code, late) == (-15, True)
        if out:
            break
    assert not os.path.exists(f"/proc/{int(out)}/exe")


def test_one_that_does_not_want_to_end_is_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("provision.host.capture._GRACE", 0.2)
    for timeout in (0.2, 5, 60):  # the later ones for a slow machine, on which it is not deaf by then
        stubborn = "trap '' TERM; echo deaf; while :; do sleep 1; done"
        code, out, _, late = run("sh", "-c", stubborn, timeout=timeout)
        if out:
            break
    assert (code, late) == (-9, True)


def test_a_daemon_that_holds_the_pipes_is_not_waited_for() -> None:
    begun = time.monotonic()
    code, out, _, _ = run("sh", "-c", "setsid sleep 600 & echo $!")
    os.kill(int(out), 9)
    assert code == 0
    assert time.monotonic() - begun < 300


def test_what_cannot_be_started(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="no-such-command"):
        run("no-such-command")
    garbage = tmp_path / "garbage"
    garbage.write_bytes(b"\x7fELF nonsense")
    with pytest.raises(FileNotFoundError):  # nobody may run it
        run(str(garbage))
    garbage.chmod(0o755)
    with pytest.raises(OSError, match="Exec format error"):
        run(str(garbage))
