"""Every wrong input through the real command line: exit 1, one line that says where and what."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from provision import __version__
from tests.e2e.command import Provision

SERVICE = """\
- hosts: localhost
  environments: {e: {packages: ["vllm==0.33.0"]}}
  models: {m: {path: /m}}
  services:
    s:
      kind: vllm
      environment: e
      model: m
      port: 8000
      supervisor: script
"""


def play(rest: str) -> str:
    return f"- hosts: localhost\n{rest}"


def named(name: str) -> str:
    return SERVICE.replace("    s:", f'    "{name}":')


NAME = "the name '{}' is not safe"

WRONG = {
    "unknown key": (SERVICE + "      gpu_memory_utilisation: 0.5\n", 11, 7, "`gpu_memory_utilization`?"),
    "unknown key of a play": (play("  pakages: [git]\n"), 2, 3, "did you mean `packages`?"),
    "number for a list": (play("  packages: 3\n"), 2, 13, "expected a list, found the number 3"),
    "text for a number": (SERVICE.replace("8000", '"eight"'), 9, 13, "expected a whole number, found text"),
    "tab": (play("\tpackages: [git]\n"), 2, 1, "a tab is used for indentation"),
    "duplicate key": (play("  packages: [a]\n  packages: [b]\n"), 3, 3, "given twice"),
    "undefined variable": (play('  packages: ["{{ nope }}"]\n'), 2, 14, "undefined variable `nope`"),
    "unknown host": ("- hosts: locahost\n", 1, 10, "did you mean `localhost`?"),
    "unknown environment": (SERVICE.replace("t: e", "t: f"), 7, 20, "no environment `f`"),
    "unknown model": (SERVICE.replace("model: m", "model: n"), 8, 14, "no model `n`"),
    "port 70000": (SERVICE.replace("8000", "70000"), 9, 13, "from 1 to 65535, found the number 70000"),
    "two services on a port": (
        SERVICE + "    t: {kind: vllm, environment: e, model: m, port: 8000, supervisor: script}\n",
        11,
        53,
        "port 8000 of service `t` is taken by service `s`",
    ),
    "name with a quote": (named("a'b"), 5, 5, NAME.format("a'b")),
    "name with a newline": (named("a\\nb"), 5, 5, NAME.format("a\\nb")),
    "name with a command": (named("$(id)"), 5, 5, NAME.format("$(id)")),
    "fraction above one": (SERVICE + "      gpu_memory_utilization: 1.5\n", 11, 31, "above 0 and at most 1"),
    "flag of a field": (SERVICE + "      extra_args: [--disable-log-requests]\n", 11, 20, "log_requests"),
    "unknown flag": (SERVICE + "      extra_args: [--max-modl-len]\n", 11, 20, "field max_model_len?"),
    "empty file": ("", 1, 1, "the file is empty"),
    "only a comment": ("# nothing\n", 1, 1, "the file is empty"),
    "no list": ("hosts: all\n", 1, 1, "a playbook is a list of plays"),
    "unclosed list": (play("  packages: [git\n"), 3, 1, "expected here"),
    "relative path": (play("  files: {etc/x: {content: a}}\n"), 2, 11, "expected an absolute path"),
    "unknown kind": (play("  services: {s: {kind: vlm}}\n"), 2, 24, "did you mean `vllm`?"),
    "binary file": (bytes(range(256)), 1, 1, "this is a binary file"),
    "10 MB": (b"- hosts: a\n" * 1_000_000, 1, 1, "larger than 1 MB"),
}


@pytest.fixture
def here(tmp_path: Path) -> Provision:
    return Provision(cwd=tmp_path, env={"PYTHONPATH": os.getcwd()})


def refused(here: Provision, *argv: str | Path) -> str:
    """Run a command that must be refused, and return what it says."""
    verb, *args = argv
    answer = here.run(str(verb), *args)
    assert answer.code == 1, answer
    assert answer.out == ""
    return answer.err


@pytest.mark.parametrize(
    ("verb", "name"), [*(("validate", name) for name in WRONG), ("plan", "tab"), ("apply", "tab")]
)
def test_a_wrong_playbook(here: Provision, verb: str, name: str) -> None:
    text, line, column, message = WRONG[name]
    (here.cwd / "p.yml").write_bytes(text if isinstance(text, bytes) else text.encode())
    said = refused(here, verb, "p.yml", *(["--yes"] if verb == "apply" else []))
    assert re.fullmatch(rf"p\.yml:{line}:{column}: [^\n]*\n", said), said
    assert message in said


def test_all_problems_of_all_files_at_once(here: Provision) -> None:
    (here.cwd / "playbooks").mkdir()
    (here.cwd / "playbooks/a.yml").write_text("- hosts: localhost\n  pakages: []\n  servics: {}\n")
    (here.cwd / "playbooks/b.yml").write_text("- packages: []\n")
    (here.cwd / "inventories").mkdir()
    (here.cwd / "inventories/i.yml").write_text("hosts: {h: {adress: x}}\n")
    said = refused(here, "validate").splitlines()
    starts = ["inventories/i.yml:1:13:", "playbooks/b.yml:1:3:"]
    assert [line.split(" ")[0] for line in said if "playbooks/a" not in line] == starts


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["plann"], "error: no such verb 'plann'; did you mean `plan`?"),
        (["-x"], "error: no such option '-x'"),
        (["plan", "--lmit", "x"], "error: no such option '--lmit'; did you mean '--limit'?"),
        (["plan", "-i"], "error: option '-i' requires an argument"),
        (["plan", "p.yml", "--forks", "0"], "error: invalid value for '--forks': 0 is not in the range"),
        (["plan", "p.yml", "--forks", "x"], "'x' is not a valid whole number"),
        (["plan", "p.yml", "--connect-timeout", "0"], "is not in the range 1<=x<=600"),
        (["plan", "p.yml", "--output", "xml"], "'xml' is not one of 'text', 'json'"),
        (["plan", "p.yml", "--ignore", "gpu-take"], "no code of what is foreseen; did you mean `gpu-taken`?"),
        (["plan", "p.yml", "--ignore", "unknown-key"], "'unknown-key' is no code of what is foreseen"),
        (["plan", "p.yml", "--ask-become-pass"], "needs a terminal to ask on"),
        (["logs"], "error: missing argument 'SERVICE'"),
        (["logs", "nosuch", "p.yml"], "no service 'nosuch' in the playbooks"),
        (["schema"], "error: missing argument '{playbook|inventory}'; choose from playbook, inventory"),
        (["schema", "x"], "'x' is not one of 'playbook', 'inventory'"),
        (["apply", "p.yml"], "without a terminal to ask on, apply needs --yes"),
        (["remove", "p.yml"], "without a terminal to ask on, remove needs --yes"),
        (["remove", "p.yml", "--yes", "--tags", "x"], "remove does not take --tags"),
        (["validate", "p.yml", "--tags", ","], "--tags names no tag"),
        (["validate", "p.yml", "--tags", "zz"], "nothing has the tag 'zz'; no play and no service has tags"),
        (["validate", "p.yml", "--limit", "zz"], "no host or group matches 'zz'"),
        (["validate", "p.yml", "--limit", ""], "the host pattern is empty"),
        (["validate", "p.yml", "-e", "x"], "-e 'x' is not an assignment"),
        (["validate", "p.yml", "-e", "1x=2"], "'1x' is not a variable name"),
        (["validate", "p.yml", "-e", "@nope.yml"], "nope.yml:1:1: there is no such file"),
        (["validate", "p.yml", "-i", "nope.yml"], "nope.yml:1:1: there is no such file"),
        (["validate", "nope.yml"], "nope.yml:1:1: there is no such file"),
        (["validate", "/dev/null"], "/dev/null:1:1: this is not a regular file"),
        (["validate", "empty"], "empty: there is no playbook in this directory"),
        (["validate", "p.yml", "-i", "empty"], "empty:1:1: there is no inventory in this directory"),
        (["validate"], "no playbooks/ directory here; name a playbook, or start with `provision init`"),
        (["inventory", "--host", "nope"], "there is no host 'nope'"),
        (["inventory", "--limit", ""], "the host pattern is empty"),
        (["render", "p.yml", "--to", "p.yml"], "Directory 'p.yml' is a file"),
        (["render", "s.yml", "--to", "p.yml/x"], "error: p.yml/x/localhost"),
        (["init", "p.yml/x"], "error: p.yml/x"),
    ],
)  # fmt: skip
def test_wrong_use(here: Provision, argv: list[str], message: str) -> None:
    (here.cwd / "empty").mkdir()
    (here.cwd / "p.yml").write_text(play("  commands: {c: {run: 'true', creates: /x}}\n"))
    (here.cwd / "s.yml").write_text(SERVICE)
    said = refused(here, *argv)
    assert message in said
    assert said.count("\n") == 1


def test_no_verb_at_all(here: Provision) -> None:
    ended = subprocess.run(
        [sys.executable, "-m", "provision"], cwd=here.cwd, env={**os.environ, **here.env}, capture_output=True
    )
    assert (ended.returncode, ended.stdout) == (1, b"")
    assert ended.stderr.startswith(b"Usage: provision [OPTIONS] COMMAND")


def test_a_missing_secret_is_needed_to_plan_and_by_nothing_that_only_looks_at_files(here: Provision) -> None:
    (here.cwd / "p.yml").write_text(SERVICE + "      api_key: {env: NO_SUCH_KEY}\n")
    where = "p.yml:11:16: the environment variable NO_SUCH_KEY is not set"
    assert refused(here, "plan", "p.yml").startswith(where)
    assert refused(here, "apply", "p.yml", "--yes").startswith(where)
    assert here.run("validate", "p.yml").code == 0
    rendered = here.run("render", "p.yml")
    assert rendered.code == 0
    assert "***" in rendered.out


@pytest.mark.parametrize("argv", [["p.yml"], ["playbooks/p.yml"]])
def test_two_playbooks_of_one_name(here: Provision, argv: list[str]) -> None:
    (here.cwd / "playbooks").mkdir()
    for path in ("p.yml", "playbooks/p.yml"):
        (here.cwd / path).write_text(play("  packages: [git]\n"))
    said = refused(here, "validate", "p.yml", "playbooks/p.yml")
    assert said.startswith("playbooks/p.yml:1:1: two playbooks are called p, this one and p.yml; ")
    assert here.run("validate", *argv).code == 0


WHOLE: dict[str, Any] = {
    "format": "provision-plan/3",
    "provision": __version__,
    "playbooks": ["p.yml"],
    "inventories": [],
    "limit": None,
    "tags": [],
    "extra": {},
    "inputs": "0" * 64,
    "hosts": {},
}
OLD = {key: value for key, value in WHOLE.items() if key != "provision"} | {"format": "provision-plan/2"}
"""As versions before wrote it."""


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (json.dumps(WHOLE)[:-9], "this saved plan is damaged"),
        (json.dumps({**WHOLE, "playbooks": [3]}), "this saved plan is damaged"),
        (json.dumps({**WHOLE, "hosts": {"h": None}}), "this saved plan is damaged"),
        (json.dumps({**WHOLE, "tags": None}), "this saved plan is damaged"),
        (json.dumps(OLD, indent=2), "saved by another version of provision"),
        (json.dumps({**OLD, "format": "provision-plan/1"}), "saved by another version of provision"),
        (json.dumps({**WHOLE, "provision": "0.0.9"}), "saved by provision 0.0.9, this is "),
        (json.dumps(WHOLE), "have changed since this plan was made"),
    ],
)
def test_a_saved_plan_that_is_not_as_it_was(here: Provision, text: str, message: str) -> None:
    (here.cwd / "p.yml").write_text(play("  packages: [git]\n"))
    (here.cwd / "saved").write_text(text)
    said = refused(here, "apply", "saved", "--yes")
    assert said.startswith("saved: ")
    assert message in said
    assert said.rstrip().endswith("make a new one with `provision plan --out` [saved-plan]")


def test_a_saved_plan_is_no_playbook_and_takes_no_selection(here: Provision) -> None:
    (here.cwd / "saved").write_text(json.dumps(WHOLE))
    assert "this is a saved plan" in refused(here, "plan", "saved")
    assert "leave out -i, -e, --limit, --tags" in refused(here, "apply", "saved", "--yes", "--limit", "h")


@pytest.mark.parametrize("name", [b"\xff.yml", b"\xff/p.yml"])
def test_names_and_values_that_are_no_text(here: Provision, name: bytes) -> None:
    path = here.cwd / os.fsdecode(name)
    path.parent.mkdir(exist_ok=True)
    path.write_text(play("  packages: [git]\n"))
    said = refused(here, "validate", os.fsdecode(name))
    assert said.endswith("is not UTF-8 text; rename it [unreadable-file]\n")
    assert "\\udcff" in said
    path.rename(here.cwd / "p.yml")
    assert "the value is not UTF-8 text" in refused(here, "validate", "p.yml", "-e", os.fsdecode(b"a=\xff"))


def test_an_unreadable_file_is_named(here: Provision) -> None:
    (here.cwd / "loop.yml").symlink_to("loop.yml")
    assert refused(here, "validate", "loop.yml").startswith("loop.yml:1:1: ")


def test_a_fault_of_our_own_is_one_line_and_shows_where_on_demand(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    import provision.cli

    def fault(*args: object, **named: object) -> None:
        raise KeyError("x")

    monkeypatch.setattr(provision.cli.cli, "main", fault)
    with pytest.raises(SystemExit) as ended:
        provision.cli.main([])
    assert ended.value.code == 1
    said = capsys.readouterr().err
    assert "KeyError: 'x' (with PROVISION_DEBUG=1 it shows where)" in said
    monkeypatch.setenv("PROVISION_DEBUG", "1")
    with pytest.raises(KeyError):
        provision.cli.main([])
