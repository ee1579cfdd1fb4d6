"""The resource type `command`, and how commands are run at all."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from provision.wire.specs.apt import AptSpec, Package
from provision.wire.specs.command import CommandSpec
from provision.wire.specs.directory import DirectorySpec
from provision.wire.specs.file import FileSpec
from provision.wire.specs.group import GroupSpec
from provision.wire.specs.user import UserSpec
from tests.host import archived, drive
from tests.host.archived import PYTHONS
from tests.host.conftest import REPOSITORY, Drive
from tests.host.entries import entry, type_of


def command(*argv: str, **more: Any) -> CommandSpec:
    return CommandSpec(name="test", argv=list(argv), **more)


def shell(text: str, **more: Any) -> CommandSpec:
    return command("sh", "-c", text, **more)


def lines(result: dict[str, Any]) -> list[str]:
    return [event["line"] for event in result["events"] if event["event"] == "output"]


def alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state != "Z"


def ends(pid: int) -> bool:
    """Whether a process that has been killed is gone, which takes the kernel a moment."""
    deadline = time.monotonic() + 120
    while alive(pid) and time.monotonic() < deadline:
        time.sleep(0.05)
    return not alive(pid)


def test_without_a_condition_it_runs_every_time_and_says_so(here: Drive, tmp_path: Path) -> None:
    spec = shell(f"echo run >>{tmp_path}/log; echo one; echo two >&2")
    for count in (1, 2):
        result = here(spec)
        assert (result["error"], result["left"]) == (None, {})
        assert "runs at every apply" in result["notes"][0]["message"]
        assert lines(result) == ["one", "two"]
        assert len((tmp_path / "log").read_text().splitlines()) == count


def test_creates_says_when_it_is_done(here: Drive, tmp_path: Path) -> None:
    spec = shell("touch made", creates="made", directory=str(tmp_path))
    first = here(spec)
    assert (first["before"], first["left"], first["notes"]) == ({"done": None}, {}, [])
    assert here(spec)["changes"] == {}
    broken = here(command("true", creates=str(tmp_path / "never")))
    assert broken["error"] == f"the command succeeded, but {tmp_path}/never is still missing"


def test_unless_says_when_it_is_done(here: Drive, tmp_path: Path) -> None:
    spec = shell("echo 2 >version", unless=["grep", "-q", "2", "version"], directory=str(tmp_path))
    assert here(spec)["left"] == {}
    assert here(spec)["changes"] == {}
    (tmp_path / "version").write_text("1")
    assert here(spec)["left"] == {}
    assert here(command("true", unless=["false"]))["error"].endswith("`unless` still fails")
    # a tool that the command itself is to bring
    tool = tmp_path / "tool"
    bring = shell(f"printf '#!/bin/sh\\n' >{tool}; chmod +x {tool}", unless=[str(tool)])
    assert here(bring)["left"] == {}
    relative = command("true", unless=["./tool"], directory=str(tmp_path))
    assert here(relative)["changes"] == {}


def test_surroundings_are_given(here: Drive, tmp_path: Path) -> None:
    spec = shell('printf "%s|" "$A B" "$PWD" >out', env={"A": "$(id)"}, directory=str(tmp_path))
    assert here(spec)["error"] is None
    assert (tmp_path / "out").read_text() == f"$(id) B|{tmp_path}|"


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
def test_another_user_runs_it(here: Drive) -> None:
    assert lines(here(shell("id -un; id -Gn", user="nobody"))) == ["nobody", "nogroup"]


def test_failures_are_one_sentence_with_the_output_behind_it(here: Drive, tmp_path: Path) -> None:
    failed = here(shell("echo first; echo why >&2; exit 3"))
    assert failed["error"] == "sh failed (exit 3): why"
    assert failed["log"] == ["first", "why"]
    assert here(command("/no/such"))["error"] == "/no/such: no such file or command"
    assert here(command("true", directory="/no/dir"))["error"] == "/no/dir does not exist"
    assert here(command("true", user="no-such"))["error"] == 'user "no-such" does not exist'
    plan = here(command("true", user="no-such", directory="/no/dir", unless=["true"]), verb="inspect")
    assert (plan["error"], plan["before"]) == (None, {"done": None})


def test_time_runs_out_for_the_whole_group_even_when_it_will_not_listen(here: Drive, tmp_path: Path) -> None:
    child = f"sh -c 'echo $$ >{tmp_path}/child; sleep 600'"
    stubborn = f"(trap '' TERM; sh -c 'echo $PPID' >{tmp_path}/shell; {child}; sleep 600) & wait"
    for timeout in (1, 10, 60):  # the later ones for a slow machine, on which the child is not there by then
        result = here(shell(stubborn, timeout=timeout))
        assert result["error"] == f"sh did not end within {timeout} s"
        if (tmp_path / "child").exists() and (tmp_path / "child").read_text():
            break
    for name in ("shell", "child"):
        assert ends(int((tmp_path / name).read_text()))


def test_a_daemon_that_keeps_the_output_open_holds_nobody_up(here: Drive, tmp_path: Path) -> None:
    result = here(shell(f"echo started; sleep 120 & echo $! >{tmp_path}/pid"))
    pid = int((tmp_path / "pid").read_text())
    try:
        assert (result["error"], lines(result)) == (None, ["started"])
        assert alive(pid)  # it was not waited for
    finally:
        os.kill(pid, 9)


def test_output_is_passed_on_as_it_comes(here: Drive, tmp_path: Path) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    code = (
        "import sys; sys.path.insert(0, sys.argv[1])\n"
        "from provision.host.machine import Machine\n"
        "fifo = sys.argv[2]\n"
        "def on_line(line):\n"
        "    if line == 'first':\n"
        "        open(fifo, 'w').close()\n"  # only this lets the command go on
        "machine = Machine(print, '/nowhere')\n"
        "machine.run(['sh', '-c', 'echo first; cat $0', fifo], timeout=60, on_line=on_line)\n"
    )
    result = here(command(sys.executable, "-c", code, str(REPOSITORY), str(fifo), timeout=120))
    assert result["error"] is None


def test_bytes_that_are_no_text_and_carriage_returns_do_no_harm(here: Drive) -> None:
    result = here(shell(r"printf 'a\rb\r\nc\377\n\344\275'; sleep 0.1; printf '\240'"))
    assert lines(result) == ["a", "b", "c\ufffd", "你"]


def test_the_host_side_runs_on_every_python(tmp_path: Path) -> None:
    program = Path(drive.__file__).read_text(encoding="utf-8")
    program += "json.dump(drive(json.load(sys.stdin)), sys.stdout)\n"
    for python in PYTHONS or [Path(sys.executable)]:
        archive = tmp_path / f"archive-{python.parts[-3]}"
        archive.mkdir()
        (tmp_path / f"real-{python.parts[-3]}").mkdir()
        link = tmp_path / f"link-{python.parts[-3]}"
        link.symlink_to(f"real-{python.parts[-3]}")
        target = link / "made"
        validate = ["test", "-s", "{path}"]
        for spec in (
            DirectorySpec(path=str(target), mode="0750"),
            FileSpec(path=str(target / "x"), content="é", mode="0640", validate=validate),
            CommandSpec(name="c", argv=["touch", "a"], directory=str(target), creates="a"),
            GroupSpec(name="root", gid=0),
            UserSpec(name="root", uid=0, home="/root"),
            AptSpec(packages=[Package(name="dpkg")]),
        ):
            resource = entry(f"{type_of(spec)}:t", spec)
            order = {"resource": resource, "verb": "fix", "state": str(tmp_path / "s")}
            argv = [python, *archived.arguments(python, archive, program)]
            done = subprocess.run(argv, input=json.dumps(order), capture_output=True, text=True, check=False)
            assert done.returncode == 0, (python, spec, done.stderr)
            result = json.loads(done.stdout)
            assert (result["error"], result.get("left", {})) == (None, {}), (python, spec)
