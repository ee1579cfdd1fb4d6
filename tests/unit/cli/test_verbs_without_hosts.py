"""The verbs that need no host, as a user runs them, and what they say of a broken machine."""

from __future__ import annotations

import json
import os
import re
import shutil
import stat
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator

from tests.e2e.command import REPOSITORY, Provision

VERSIONS = Path(os.environ.get("PYENV_ROOT", "~/.pyenv")).expanduser() / "versions"
LOCAL = "- hosts: localhost\n  commands: {c: {run: 'true', creates: /}}\n"


@pytest.fixture
def here(tmp_path: Path) -> Provision:
    return Provision(cwd=tmp_path, env={"PYTHONPATH": str(REPOSITORY)})


def schema(here: Provision, kind: str) -> Any:
    answer = here.run("schema", kind)
    assert answer.code == 0
    return json.loads(answer.out)


def test_init_makes_what_validates_and_is_accepted_by_the_schemas_beside_it(here: Provision) -> None:
    first = here.run("init")
    assert first.code == 0
    for kind, folder in (("playbook", "playbooks"), ("inventory", "inventories")):
        for path in (here.cwd / folder).iterdir():
            head = path.read_text().splitlines()[0]
            assert head == f"# yaml-language-server: $schema=../schema/{kind}.json"
            described = json.loads((path.parent / head.split("=")[1]).read_text())
            Draft202012Validator(described).validate(yaml.safe_load(path.read_text()))
    valid = here.run("validate")
    assert (valid.code, valid.err) == (0, "")
    assert valid.out.startswith("valid: 1 playbook, ")
    listed = here.run("inventory")
    assert listed.code == 0
    assert listed.out

    files = {path: path.read_bytes() for path in here.cwd.rglob("*") if path.is_file()}
    again = here.run("init")
    assert again.code == 1
    assert again.err.startswith("error: inventories/hosts.yml is there already")
    assert {path: path.read_bytes() for path in here.cwd.rglob("*") if path.is_file()} == files


def test_init_elsewhere(here: Provision) -> None:
    assert here.run("init", "new/place").code == 0
    assert here.run("validate", "new/place/playbooks").code == 0


@pytest.mark.parametrize("kind", ["playbook", "inventory"])
def test_the_schemas_accept_the_shipped_examples(here: Provision, kind: str) -> None:
    described = schema(here, kind)
    Draft202012Validator.check_schema(described)
    folder = REPOSITORY / {"playbook": "playbooks", "inventory": "inventories"}[kind]
    for path in sorted(folder.glob("*.yml")):
        Draft202012Validator(described).validate(yaml.safe_load(path.read_text()))


def test_render_without_a_target_prints_everything(here: Provision) -> None:
    (here.cwd / "p.yml").write_text(
        "- hosts: localhost\n  files: {/srv/a: {content: \"one\\n\", mode: '0600'}}\n"
    )
    answer = here.run("render", "p.yml")
    assert answer.out == "# localhost: /srv/a (0600)\none\n\n"
    written = here.run("render", "p.yml", "--to", "out")
    assert written.out == "1 file for 1 host written below out\n"
    assert stat.S_IMODE((here.cwd / "out/localhost/srv/a").stat().st_mode) == 0o600


def test_validate_knows_what_cannot_work_and_needs_no_secret(here: Provision) -> None:
    (here.cwd / "key").write_text("-----BEGIN\nsesame\n-----END\n")
    (here.cwd / "p.yml").write_text(
        "- hosts: localhost\n"
        "  files:\n"
        "    /srv/key: {content: {file: key}}\n"
        "    /srv/other: {content: {env: NO_SUCH_SECRET}}\n"
        "  services:\n"
        "    a: {kind: program, supervisor: script, command: [sleep, 9], env: {KEY: {file: key}}}\n"
        "    b: {kind: program, supervisor: script, command: [sleep, 9], env: {KEY: {env: BYTES}}}\n"
    )
    here.env["BYTES"] = os.fsdecode(b"\xff\xfe")
    answer = here.run("validate", "p.yml")
    assert answer.code == 1
    several, broken = answer.err.splitlines()
    assert several.startswith("p.yml:6:76: the secret from the file key has several lines, and one line is")
    text = "p.yml:7:76: the secret from the environment variable BYTES is not UTF-8 text"
    assert broken == f"{text} [unusable-secret]"
    planned = here.run("plan", "p.yml")
    assert [line.partition(":")[0] for line in planned.err.splitlines()] == ["p.yml"] * 3


def test_inventory_says_where_values_come_from(here: Provision) -> None:
    (here.cwd / "inventories").mkdir()
    (here.cwd / "inventories/a.yml").write_text(
        "vars: {root: /a}\nhosts: {h: {address: 10.0.0.1, user: ops, become: true, vars: {root: /h}}}\n"
    )
    answer = here.run("inventory", "--host", "h", "-e", "size=3")
    assert answer.out.splitlines()[0] == "h  ssh ops@10.0.0.1  become"
    assert "  root = /h  from host h (inventories/a.yml:2:70)" in answer.out.splitlines()
    assert "      over /a  from inventory (inventories/a.yml:1:14)" in answer.out.splitlines()
    assert "  size = 3  from -e" in answer.out.splitlines()
    (row,) = here.run("inventory", "--host", "h", json=True).events
    assert (row["version"], row["name"]) == (1, "h")
    assert [each["origin"] for each in row["variables"]] == ["host h (inventories/a.yml:2:70)"]


def test_an_executable_inventory(here: Provision) -> None:
    script = here.cwd / "hosts"
    found = {"gpu": {"hosts": ["g1", "g2"]}, "_meta": {"hostvars": {"g1": {"ansible_host": "10.0.0.7"}}}}
    script.write_text(f"#!/bin/sh\necho '{json.dumps(found)}'\n")
    script.chmod(0o755)
    answer = here.run("inventory", "-i", script, "--limit", "gpu:!g2")
    assert answer.out == "g1  ssh 10.0.0.7  [gpu]\n"
    script.write_text("#!/bin/sh\necho no; exit 3\n")
    broken = here.run("inventory", "-i", script)
    assert broken.code == 1
    assert "Traceback" not in broken.err
    assert broken.err.count("\n") == 1


def test_inside_the_folder_of_playbooks_the_project_is_the_one_above(here: Provision) -> None:
    assert here.run("init").code == 0
    inside = Provision(cwd=here.cwd / "playbooks", env=here.env)
    assert inside.run("validate", "models.yml").code == 0


def test_a_newcomer_is_told_the_next_step(here: Provision) -> None:
    """Each thing that is tried before anything exists ends with what to do."""
    init = "`provision init`"
    for verb in ("validate", "plan", "apply", "status", "remove"):
        answer = here.run(verb)
        assert answer.code == 1
        told = f"there is no playbooks/ directory here; name a playbook, or start with {init}"
        assert answer.err == f"{told} [missing-file]\n"
    assert f"the inventory has none; name them in inventories/hosts.yml ({init}" in here.run("inventory").err
    (here.cwd / "playbooks").mkdir()
    assert f"there is no playbook in this directory; write one that ends in .yml, or start with {init}" in (
        here.run("validate").err
    )
    (here.cwd / "playbooks/a.yml").write_text("- hosts: gpu\n  become: true\n")
    assert "set `become` on the host or its group in the inventory" in here.run("validate").err
    (here.cwd / "playbooks/a.yml").write_text("- hosts: gpu\n")
    assert "no host or group matches 'gpu'; the inventory has no hosts: name them in" in here.run("plan").err
    inside = Provision(cwd=here.cwd / "playbooks", env=here.env)
    assert (
        f"there is no playbooks/ directory here; go up to {here.cwd}, which has one" in inside.run("plan").err
    )
    (here.cwd / "inventories").mkdir()
    (here.cwd / "inventories/hosts.yml").write_text("hosts: {gpu: }\n")
    empty = here.run("validate")
    assert (empty.code, empty.err) == (
        1,
        "playbooks/a.yml:1:10: host gpu is used without root and names no directory to work in; "
        "give the host a prefix: /path that its user may write to, or become: true [needs-prefix]\n",
    )
    (here.cwd / "inventories/hosts.yml").write_text("hosts: {gpu: {user: root}}\n")
    assert "nothing is declared" in here.run("validate").err
    assert (
        "it looks like an inventory, which is named with -i"
        in here.run("validate", "inventories/hosts.yml").err
    )


def test_a_python_that_is_too_old_says_so(tmp_path: Path) -> None:
    old = next(VERSIONS.glob("3.[89].*/bin/python3"), None)
    if old is None:
        pytest.skip("there is no old Python here")
    said = subprocess.run(
        [old, "-m", "provision", "validate"], cwd=REPOSITORY, capture_output=True, text=True, check=False
    )
    assert said.returncode == 1
    assert re.fullmatch(r"provision needs Python 3.11 or newer, and this is 3\.[89]\.\d+, .*\n", said.stderr)


def test_a_home_that_cannot_be_written_to_is_no_obstacle(here: Provision) -> None:
    (here.cwd / "p.yml").write_text(LOCAL)
    (here.cwd / "i.yml").write_text(f"hosts: {{localhost: {{prefix: {here.cwd}/prefix}}}}\n")
    nowhere = {"HOME": "/proc", "XDG_CACHE_HOME": "/proc/no"}
    homeless = Provision(["-i", "i.yml"], {**here.env, **nowhere}, here.cwd)
    planned = homeless.run("plan", "p.yml")
    assert planned.code == 0, planned
    assert "= nothing to change" in planned.out


def test_a_machine_without_ssh_says_so(here: Provision) -> None:
    (here.cwd / "i.yml").write_text("hosts: {h: {address: 10.0.0.1, user: root}}\n")
    (here.cwd / "p.yml").write_text(LOCAL.replace("localhost", "h"))
    bare = Provision(["-i", "i.yml"], {**here.env, "PATH": "/nowhere"}, here.cwd)
    answer = bare.run("plan", "p.yml")
    assert answer.code == 1
    assert (
        "  ! the program ssh is not on this machine; install it, or correct PATH [missing-program]"
        in answer.out.splitlines()
    )


def test_an_installation_without_templates_says_so(here: Provision, tmp_path: Path) -> None:
    shutil.copytree(REPOSITORY / "provision", tmp_path / "broken/provision")
    (here.cwd / "p.yml").write_text(
        "- hosts: localhost\n  environments: {e: {packages: ['vllm==0.33.0']}}\n  models: {m: {path: /m}}\n"
        "  services: {s: {kind: vllm, environment: e, model: m, port: 1024, supervisor: script}}\n"
    )
    broken = Provision(cwd=here.cwd, env={"PYTHONPATH": str(tmp_path / "broken")})
    answer = broken.run("validate", "p.yml")
    assert answer.code == 1
    assert "there is no template vllm/start.sh.j2" in answer.err
    assert answer.err.rstrip().endswith("install provision again [missing-file]")


def test_help_names_the_ways_to_give_variables(here: Provision) -> None:
    said = " ".join(here.run("plan", "--help").out.split())
    assert "-e, --extra-var NAME=VALUE|@FILE" in said
    assert "@vars.yml takes all of a file" in said


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no /dev/full")
def test_a_full_disk_under_the_output_is_one_line(here: Provision) -> None:
    import sys

    with open("/dev/full", "w") as full:
        ended = subprocess.run(
            [sys.executable, "-m", "provision", "schema", "playbook"],
            cwd=here.cwd,
            env={**os.environ, **here.env},
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
        )
    assert ended.returncode != 0
    assert ended.stderr == "error: no space left on device [system-error]\n"
