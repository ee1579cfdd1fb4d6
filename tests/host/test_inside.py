"""What other Pythons run of the host side, whose sources a host does not have as files."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from tests.host.archived import PYTHONS, arguments

PROGRAM = """
import subprocess, sys
from provision.host.python import inside
sys.exit(subprocess.call(inside.command_of(sys.executable, "idle")))
"""


@pytest.mark.parametrize("python", PYTHONS, ids=lambda path: path.parent.parent.name)
def test_a_program_for_the_python_of_an_environment_travels_as_text(tmp_path: Path, python: Path) -> None:
    markers = ['a; python_version < "3"', 'b; python_version > "3"']
    done = subprocess.run(
        [python, *arguments(python, tmp_path, PROGRAM)],
        input=json.dumps(markers),
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout) == markers[:1]
