"""A kind of service that nobody lists anywhere: its package, and the template of its start script.

This is the example of docs/development.md, as small as a kind can be.
"""

from __future__ import annotations

import json
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

KIND = {
    "__init__.py": """
        from provision.kinds.kind import Kind
        from provision.kinds.toy import fields, lower

        KIND = Kind(fields.ToyService, lower.lower)
        """,
    "fields.py": '''
        from collections.abc import Iterator
        from typing import Literal

        from provision.config.model import Line, Port
        from provision.config.services.base import Listener, Service


        class ToyService(Service):
            """A server that greets."""

            kind: Literal["toy"]
            """What runs."""
            greeting: Line = "hello"
            """What it says."""
            port: Port = 9000
            """The port to listen on."""

            def listeners(self) -> Iterator[Listener]:
                yield Listener(("port",), None, self.port)
        ''',
    "lower.py": """
        from provision.catalog import text
        from provision.kinds.common import checks, supervised
        from provision.kinds.common.program import Program


        def lower(context):
            service = context.service
            script = context.templates.render(
                "toy/start.sh.j2",
                {
                    "managed": context.managed,
                    "env_file": None if context.systemd else text.sh(context.env_file),
                    "command": text.sh_words(["greet", service.greeting, str(service.port)]),
                },
            )
            supervised.add(
                context,
                Program(
                    script=script,
                    port=service.port,
                    checks=checks.specs(context) or [checks.undeclared(True)],
                ),
            )
        """,
}

TEMPLATE = """
    #!/bin/sh
    # {{ managed }}
    {% if env_file %}
    . {{ env_file }}
    {% endif %}
    exec {{ command }}
    """

PLAYBOOK = """
    - hosts: h
      services:
        s: {kind: toy, greeting: "good day"}
    """

PROGRAM = (
    "import sys, provision.kinds; provision.kinds.__path__.append(sys.argv.pop(1)); "
    "from provision.__main__ import main; main()"
)
"""The command line, which finds one kind more."""


def write(path: Path, content: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(textwrap.dedent(content).lstrip(), encoding="utf-8")


@pytest.fixture
def project(tmp_path: Path) -> Path:
    for name, content in KIND.items():
        write(tmp_path / "kinds/toy" / name, content)
    write(tmp_path / "templates/toy/start.sh.j2", TEMPLATE)
    write(tmp_path / "inventories/hosts.yml", "hosts: {h: {address: 192.0.2.1, user: root}}\n")
    write(tmp_path / "playbooks/site.yml", PLAYBOOK)
    return tmp_path


def provision(project: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", PROGRAM, str(project / "kinds"), *arguments]
    return subprocess.run(command, cwd=project, capture_output=True, text=True)


def test_it_is_compiled_to_all_that_a_supervised_service_has(project: Path) -> None:
    done = provision(project, "render", "--to", "out")
    assert done.returncode == 0, done.stderr
    root = project / "out/h"
    assert (root / "opt/provision/services/s/start.sh").read_text().endswith("exec greet 'good day' 9000\n")
    assert "toy service s" in (root / "etc/systemd/system/provision-s.service").read_text()


def test_what_is_wrong_with_it_is_said_at_its_place(project: Path) -> None:
    write(project / "playbooks/site.yml", PLAYBOOK.replace("greeting", "greting"))
    done = provision(project, "validate")
    assert done.returncode == 1
    assert "site.yml:3:20: unknown key `greting`; did you mean `greeting`?" in done.stdout + done.stderr
    write(project / "playbooks/site.yml", PLAYBOOK.replace("toy", "toys"))
    done = provision(project, "validate")
    assert "unknown kind `toys`; did you mean `toy`?" in done.stdout + done.stderr


def test_it_is_in_the_schema(project: Path) -> None:
    schema = json.loads(provision(project, "schema", "playbook").stdout)
    fields = schema["$defs"]["ToyService"]["properties"]
    assert fields["greeting"]["description"] == "What it says."
    assert "toy" in json.dumps(schema["$defs"]["PlayFields"]["properties"]["services"])


def test_it_clashes_with_others_over_a_port(project: Path) -> None:
    other = "\n        t: {kind: program, command: [serve], port: 9000}\n"
    write(project / "playbooks/site.yml", PLAYBOOK.rstrip() + other)
    done = provision(project, "validate")
    assert "is taken by service `s`" in done.stdout + done.stderr
