"""Five hosts, three of them in trouble: the others finish, and each failure is one line with its cause."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.command import REPOSITORY, Provision
from tests.lab import Base, Lab

pytestmark = pytest.mark.lab

FINE = ("f1", "f5")

PLAY = """\
- hosts: [f1, f2, f3, f4, f5]
  directories: {/opt/provision/big: null}
  files: {/opt/provision/big/note: {content: "%s"}}
""" % ("x" * 200_000)


@pytest.fixture(scope="module")
def fleet(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Provision]:
    hosts = lab.add("f1", "f2", "f3", "f4", "f5")
    lab.stop("f2")
    hosts[2].blackhole()
    hosts[3].small_disk("/opt/provision")
    hosts[3].fill("/opt/provision")
    folder = tmp_path_factory.mktemp("fleet")
    (folder / "play.yml").write_text(PLAY)
    options = ["-i", str(lab.inventory), "--connect-timeout", "10"]
    yield Provision(options, {"PYTHONPATH": str(REPOSITORY)}, folder)
    hosts[2].revive()
    lab.remove("f1", "f2", "f3", "f4", "f5")


def test_plan_names_those_that_do_not_answer(fleet: Provision) -> None:
    answer = fleet.run("plan", "play.yml")
    assert answer.code == 1
    blocks = [block.splitlines() for block in answer.out.strip().split("\n\n")]
    assert blocks[0][0].startswith("f1, f4, f5  Debian")
    assert [block[0] for block in blocks[1:3]] == ["f2", "f3"]
    assert all(len(block) == 2 and block[1].startswith("  ! ") for block in blocks[1:3])
    assert "accepts the connection but no ssh server greets" in blocks[2][1]
    assert blocks[-1][0].startswith("Plan: 5 hosts, 6 to add, 0 to change, 2 hosts in trouble, ")


def test_apply_finishes_the_others_in_bounded_time(fleet: Provision) -> None:
    answer = fleet.run("apply", "play.yml", "--yes", timeout=300)  # f3 itself would say nothing for ever
    assert answer.code == 1
    lines = answer.out.splitlines()
    end = lines[lines.index("") + 1 :]
    assert re.fullmatch(r"f1, f5  2 changed, \d+ ok in .* s", end[0])
    assert re.fullmatch(r"f2  failed: .*(unreachable|No route|no answer|timed out).*", end[1])
    assert re.fullmatch(r"f3  failed: .* accepts the connection but no ssh server greets; .*", end[2])
    assert re.fullmatch(
        r"f4  failed: /opt/provision/.*: no space is left .*; free space below /opt/provision \[disk-full\]",
        end[3],
    )
    assert end[4].startswith("Apply: 5 hosts, ")
    assert end[4].endswith("3 hosts in trouble.")
    assert len(end) == 5


def test_json_has_the_same_causes(fleet: Provision) -> None:
    answer = fleet.run("apply", "play.yml", "--yes", json=True)
    assert answer.code == 1
    assert {event["host"] for event in answer.event("unreachable")} == {"f2", "f3"}
    assert all(event["cause"] for event in answer.event("unreachable"))
    (failed,) = answer.event("error")
    assert failed["host"] == "f4"
    assert failed["hint"] == "free space below /opt/provision"
    assert {event["host"] for event in answer.event("done") if event["ok"]} == set(FINE)


@pytest.mark.parametrize("verb", ["status", "verify", "remove"])
def test_the_other_verbs_name_them_too(fleet: Provision, verb: str) -> None:
    answer = fleet.run(verb, "play.yml", *(["--yes"] if verb == "remove" else []))
    assert answer.code == 1
    for host in ("f2", "f3"):
        said = [line for line in answer.out.splitlines() if line.startswith(f"{host} ")]
        assert len(said) == 1
        assert "f1" not in said[0]


def test_a_plan_says_that_a_file_has_no_directory_to_be_in(lab: Lab, tmp_path: Path) -> None:
    play = "- hosts: h1\n  files: {/srv/not/there: {content: x}, /srv/declared/there: {content: x}}\n"
    (tmp_path / "play.yml").write_text(play + "  directories: {/srv/declared: null}\n")
    planned = Provision(["-i", str(lab.inventory)], {"PYTHONPATH": str(REPOSITORY)}, tmp_path).run(
        "plan", "play.yml"
    )
    assert "  i /srv/not/there: /srv/not does not exist; declare it under `directories:`" in planned.out
    assert "/srv/declared does not exist" not in planned.out


def test_a_host_without_python_is_an_error_to_plan_and_given_one_by_apply(lab: Lab, tmp_path: Path) -> None:
    lab.add("bare", base=Base(python=False))
    try:
        (tmp_path / "play.yml").write_text("- hosts: bare\n  files: {/root/note: {content: x}}\n")
        bare = Provision(["-i", str(lab.inventory)], {"PYTHONPATH": str(REPOSITORY)}, tmp_path)
        planned = bare.run("plan", "play.yml")
        assert planned.code == 1
        assert planned.out.splitlines()[:2] == [
            "bare",
            "  ! there is no python3 on the host; "
            "`provision apply` installs it by apt where it can become root [missing-python]",
        ]
        applied = bare.run("apply", "play.yml", "--yes")
        assert applied.code == 0, applied.out
        assert re.search(r"^bare  ✓ python3 3\.\d+\.\d+ installed", applied.out, re.MULTILINE)
        assert lab["bare"].exec(["cat", "/root/note"]).stdout == "x"
    finally:
        lab.remove("bare")
