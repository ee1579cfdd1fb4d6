"""What generated files say is what a real systemd and the host's own sh understand."""

from __future__ import annotations

import json

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from provision.catalog import text
from tests.lab import LabHost
from tests.unit.fleet.test_text import VALUES

pytestmark = pytest.mark.lab

DUMP = "import json, os, sys; json.dump([sys.argv[1:], dict(os.environ)], open('/run/dump.json', 'w'))"
"""Program of the unit: what it was started with."""


@settings(max_examples=4, phases=[Phase.generate])
@given(values=st.lists(VALUES, min_size=30, max_size=30), words=st.lists(VALUES, min_size=10, max_size=10))
def test_systemd_and_sh_read_the_same(lab_host: LabHost, values: list[str], words: list[str]) -> None:
    """Thirty variables and ten arguments at a time: a unit, and a shell that sources the env file."""
    variables = {f"V{index}": value for index, value in enumerate(values)}
    env = "".join(text.env_line(name, value) + "\n" for name, value in variables.items())
    _write(lab_host, "/run/x.env", "# comment\n" + env)
    _write(lab_host, "/run/dump.py", DUMP)
    arguments = " ".join(text.unit_word(word, command=True) for word in words)
    unit = (
        "[Service]\nType=oneshot\nEnvironmentFile=/run/x.env\n"
        f"ExecStart=/usr/bin/python3 /run/dump.py {arguments}\n"
    )
    _write(lab_host, "/run/systemd/system/dump.service", unit)
    _sh(lab_host, "systemctl daemon-reload && systemctl start dump.service")
    argv, environ = _dumped(lab_host)
    assert argv == words
    assert {name: environ.get(name) for name in variables} == variables
    _sh(lab_host, f"set -a; . /run/x.env; set +a; exec python3 /run/dump.py {text.sh_words(words)}")
    argv, environ = _dumped(lab_host)
    assert argv == words
    assert {name: environ.get(name) for name in variables} == variables


def _sh(host: LabHost, script: str, input: str = "") -> str:
    return host.exec(["sh", "-c", script], input=input).stdout


def _write(host: LabHost, path: str, content: str) -> None:
    _sh(host, f"cat > {path}", content)


def _dumped(host: LabHost) -> tuple[list[str], dict[str, str]]:
    argv, environ = json.loads(_sh(host, "cat /run/dump.json; rm /run/dump.json"))
    return argv, environ
