"""What a run does not do: no second execution on a host, no pip to look at an environment, no idle import."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
import venv
from pathlib import Path
from typing import Any

import pytest
import yaml

from provision.host import resources
from provision.wire.checks import Chat
from provision.wire.spec import Spec
from provision.wire.specs.apt import AptSpec, Package
from provision.wire.specs.command import CommandSpec
from provision.wire.specs.directory import DirectorySpec
from provision.wire.specs.environment import EnvironmentSpec
from provision.wire.specs.file import FileSpec
from provision.wire.specs.group import GroupSpec
from provision.wire.specs.model import ModelSpec
from provision.wire.specs.user import UserSpec
from tests.e2e.command import REPOSITORY, Provision
from tests.host import archived, asked
from tests.host.archived import PYTHONS
from tests.host.entries import entry, type_of
from tests.host.services import Service
from tests.lab import Lab, LabHost

PLAYBOOK = """\
- hosts: all
  packages: [bash, coreutils]
  users: {app: {system: true}}
  directories: {/srv/app: {owner: app}, /srv/app/data: {mode: "0750"}}
  files:
    /srv/app/a.conf: {content: "a\\n", group: app}
    /srv/app/b.conf: {content: "b\\n", mode: "0600"}
  commands:
    first: {run: touch /srv/app/first, creates: /srv/app/first}
    second: {run: touch /srv/app/second, unless: [test, -e, /srv/app/second]}
"""


@pytest.mark.lab
def test_one_execution_on_a_host(lab: Lab, lab_host: LabHost, tmp_path: Path) -> None:
    """Counted by the host's own sshd: whatever is to do, and however many resources there are."""
    (lab_host.root / "etc/ssh/sshd_config.d/count.conf").write_text("LogLevel VERBOSE\n", encoding="ascii")
    lab_host.exec(["systemctl", "restart", "ssh"])
    playbook = tmp_path / "p.yml"
    playbook.write_text(PLAYBOOK)
    provision = Provision(["-i", str(lab.inventory), "--limit", lab_host.name])

    def executions() -> int:
        said = lab_host.exec(["journalctl", "-q", "-o", "cat", "-u", "ssh"]).stdout
        return len(re.findall("^Starting session: command", said, re.M))

    assert executions() == 0
    assert provision.apply(playbook).done(lab_host.name)["counts"]["changed"] > 5
    assert executions() == 1  # with the host side sent along
    provision.plan(playbook, code=0)
    assert executions() == 2
    assert provision.apply(playbook).done(lab_host.name)["counts"]["changed"] == 0
    assert executions() == 3


def test_no_pip_to_know_what_an_environment_holds(tmp_path: Path) -> None:
    """pip's own files are not read: the time of their last reading stays."""
    place = tmp_path / "environment"
    playbook = tmp_path / "p.yml"
    environment = {"path": str(place), "packages": ["pip"]}
    playbook.write_text(json.dumps([{"hosts": "localhost", "environments": {"e": environment}}]))
    inventory = tmp_path / "hosts.yml"
    inventory.write_text(json.dumps({"hosts": {"localhost": {"prefix": str(tmp_path / "prefix")}}}))
    provision = Provision(["-i", str(inventory)], {"XDG_CACHE_HOME": str(tmp_path / "cache")})
    provision.apply(playbook)
    (package,) = place.glob("lib/python3*/site-packages/pip")

    def read() -> bool:
        """Whether one of pip's files is read by what happens until the next call."""
        found = [path for path in package.rglob("*") if path.is_file()]
        seen = any(path.stat().st_atime > long_ago + 1 for path in found)
        for path in found:
            # relatime notes a reading when the last one is older than a day
            os.utime(path, (long_ago, path.stat().st_mtime))
        return seen

    long_ago = time.time() - 7 * 86400
    read()
    subprocess.run([place / "bin/python", "-m", "pip", "--version"], check=True, capture_output=True)
    if not read():
        pytest.skip("this file system does not note when a file is read")
    provision.plan(playbook, code=0)
    provision.apply(playbook)
    assert not read()


def imported(*argv: str | Path) -> set[str]:
    """The modules that a program imports under our own Python."""
    ended = subprocess.run(
        [sys.executable, "-X", "importtime", *argv],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=False,
    )
    return listed(ended.stderr)


def listed(text: str) -> set[str]:
    """The modules that `-X importtime` lists."""
    lines = [line for line in text.splitlines() if line.startswith("import time:")]
    return {line.rpartition("|")[2].strip() for line in lines}


SLOW = (
    *("collections", "concurrent", "contextlib", "ctypes", "dataclasses", "enum", "functools", "hashlib"),
    *("inspect", "json", "logging", "re", "shutil", "signal", "socket", "subprocess", "tempfile"),
    *("threading", "typing"),
)
"""Modules that a look at a converged host has no use for: each costs as much as several resources."""

LIBRARY = {
    *("__future__", "_json", "_operator", "_sha2", "_sha256", "_signal", "_thread", "errno", "fcntl", "grp"),
    *("marshal", "pwd", "select"),
}
"""What it does import of the standard library, in addition to what each Python imports by itself."""

LOOK = """
    accounts accounts.account accounts.order
    capture causes channel dialogue failure files files.nofollow files.ownership files.paths
    fixing foreseeing item light light.hashlib light.threading light.typing machine
    main meetings models models.beside models.contents models.hubs models.hubs.listing models.manifest
    models.pickles packages packages.dpkg places python python.beside python.dist_info python.interpreters
    python.known python.look python.versions resource resources resources.apt resources.command
    resources.directory resources.environment resources.file
    resources.group resources.model resources.probe resources.process resources.user rotation runner services
    services.processes services.runner services.supervision state state.durable state.ledger state.lock
    state.marks state.owed state.scraps threads
"""
"""What it imports of the host side. Nothing comes here that only a change or a failure needs."""


TYPES = sorted(path.stem for path in Path(resources.__file__).parent.glob("[a-z]*.py"))
"""The resource types: one module each."""


LIST = """
import os, sys
leave = os._exit
def leave_and_list(code):
    os.write(2, " ".join(sys.modules).encode())
    leave(code)
os._exit = leave_and_list
"""


def run_on_host(python: Path, *argv: str | Path) -> tuple[set[str], str]:
    """Run a program that begins with `LIST` and ends by `os._exit`; return its modules, and its output."""
    read, write = os.pipe()  # standard input stays open: its end would mean that the controller has gone
    try:
        ended = subprocess.run([python, *argv], stdin=read, capture_output=True, text=True, check=False)
    finally:
        os.close(read)
        os.close(write)
    return set(ended.stderr.split()), ended.stdout


def test_help_imports_no_library() -> None:
    libraries = {"click", "pydantic", "jinja2", "rich", "yaml", "asyncio"}
    assert "provision" in imported("-m", "provision", "--help")
    assert not libraries & imported("-m", "provision", "--help")


@pytest.mark.parametrize("verb", ["plan", "apply", "verify", "status", "init", "inventory"])
def test_help_of_a_verb_imports_only_click(verb: str) -> None:
    seen = imported("-m", "provision", verb, "--help")
    assert "click" in seen
    assert not {"pydantic", "jinja2", "rich", "yaml", "asyncio"} & seen


def test_validate_imports_nothing_that_reaches_hosts(tmp_path: Path) -> None:
    playbook = tmp_path / "p.yml"
    playbook.write_text("- {hosts: localhost, directories: {/srv/x: null}}\n")
    seen = imported("-m", "provision", "validate", playbook)
    assert "pydantic" in seen
    assert not {"asyncio", "rich", "provision.rollout.run", "provision.connect.ssh"} & seen


def test_a_remembered_run_imports_nothing_that_compiles_or_draws(tmp_path: Path) -> None:
    playbook, inventory = tmp_path / "p.yml", tmp_path / "hosts.yml"
    playbook.write_text("- {hosts: here, directories: {/tmp: {mode: '1777'}}}\n")
    inventory.write_text(f"hosts: {{here: {{connection: local, prefix: {tmp_path / 'prefix'}}}}}\n")
    argv = ["-m", "provision", "plan", playbook, "-i", inventory]
    imported(*argv)
    seen = imported(*argv)
    assert "provision.transport.loop" in seen
    libraries = {"asyncio", "concurrent.futures", "jinja2", "logging", "pydantic", "rich", "ssl", "yaml"}
    standard = {"_hashlib", "ast", "inspect", "ipaddress", "pickle", "platform", "random", "socket"}
    assert not (libraries | standard) & seen


@pytest.mark.parametrize("python", PYTHONS, ids=lambda path: path.parent.parent.name)
def test_a_look_imports_next_to_nothing_on_the_host(tmp_path: Path, python: Path) -> None:
    """The host side, looking at what is as declared, on each Python that a host may have."""
    file, environment, model = tmp_path / "f", tmp_path / "environment", tmp_path / "model"
    file.write_text("x")
    venv.create(environment)
    model.mkdir()
    (model / "m.bin").write_text("weights")
    server = Service(tmp_path / "service")
    server.script("--load 0")
    process, probe = server.process(), server.probe(Chat(user="hello"))
    specs: list[Spec] = [
        FileSpec(path=str(tmp_path / "f"), content="x", mode="0644"),
        DirectorySpec(path=str(tmp_path)),
        UserSpec(name="root", uid=0, home="/root"),
        GroupSpec(name="root"),
        AptSpec(packages=[Package(name="base-files"), Package(name="awk")]),
        EnvironmentSpec(path=str(environment), requirements=[]),
        ModelSpec(path=str(model), source="path", repo=""),
        CommandSpec(name="c", argv=["true"], unless=["true"]),
        process.spec,
        probe.spec,
    ]
    entries = [entry(f"{type_of(spec)}:x", spec, playbook="box") for spec in specs]
    order = asked.request("apply", entries, state=server.machine.state, partial=True).plain()
    program = f"from provision.host.main import main; main({json.dumps(order)!r}.encode())"

    def look() -> tuple[set[str], dict[str, Any]]:
        seen, out = run_on_host(python, *archived.arguments(python, tmp_path, LIST + program))
        return seen, json.loads(out.splitlines()[-1])

    try:
        process.fix(server.machine, {"running": (False, True)})
        probe.fix(server.machine, {"proven": (False, True)})
        look()  # writes the ledger
        seen, last = look()
    finally:
        process.remove(server.machine)
    assert last["counts"] == {"ok": len(specs), "changed": 0, "failed": 0, "skipped": 0}
    bare, _ = run_on_host(python, "-I", "-S", "-c", LIST + "os._exit(0)")
    of_host = {"provision", "provision.host", *(f"provision.host.{each}" for each in LOOK.split())}
    assert (
        seen - bare - LIBRARY - of_host - {name for name in seen if name.startswith("provision.wire")}
        == set()
    )
    assert (
        not {f"provision.wire.{each}" for each in ("questions", "rollout", "statuses", "survey", "taken")}
        & seen
    )


UNIT = """\
- hosts: all
  services:
    idle: {kind: program, command: [sleep, infinity]}
"""

LISTING = """\
#!/bin/sh
exec python3 -X importtime "$@" 2>>/root/imports
"""


@pytest.mark.lab
def test_a_look_at_a_unit_imports_no_more(lab: Lab, lab_host: LabHost, tmp_path: Path) -> None:
    """As the host's own Python tells it, on a host with systemd."""
    listing, imports = lab_host.root / "root/listing", lab_host.root / "root/imports"
    listing.write_text(LISTING, encoding="ascii")
    listing.chmod(0o755)
    playbook = tmp_path / "p.yml"
    playbook.write_text(UNIT)
    inventory = yaml.safe_load(lab.inventory.read_text())
    inventory["hosts"][lab_host.name]["python"] = "/root/listing"
    lists = tmp_path / "hosts.yml"
    lists.write_text(json.dumps(inventory))
    provision = Provision(["-i", str(lists), "--limit", lab_host.name])
    provision.apply(playbook)
    bare = lab_host.exec(["python3", "-X", "importtime", "-I", "-S", "-c", "import gc, os, zlib"]).stderr
    imports.unlink()
    assert provision.apply(playbook).done(lab_host.name)["counts"]["changed"] == 0
    seen = listed(imports.read_text()) - listed(bare)
    assert "fcntl" in seen
    assert seen - LIBRARY - {"_socket", "pwd"} == set()


@pytest.mark.parametrize("type", TYPES)
def test_no_resource_type_imports_what_only_a_change_needs(tmp_path: Path, type: str) -> None:
    module = f"{resources.__name__}.{type}"
    python, program = Path(sys.executable), f"{LIST}import {module}; {module}.__doc__; os._exit(0)"
    seen, _ = run_on_host(python, *archived.arguments(python, tmp_path, program))
    assert module in seen
    assert seen.intersection(SLOW) == set()
