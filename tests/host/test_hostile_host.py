"""A host that means harm: the others are served, and this machine keeps its memory and its terminal."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.e2e.command import REPOSITORY

BEGIN = """\
import json, os, sys, time
out = sys.stdout.buffer

def say(**event):
    out.write(json.dumps(event).replace('{"event": ', '{"event":', 1).encode() + b"\\n")
    out.flush()

FACTS = {"hostname": "h", "os": "x", "arch": "x", "cpus": 1, "memory": 1}
HELLO = {"event": "hello", "provision": "9", "wire": 3, "python": "3.11", "pid": 1, "user": "root",
    "root": True, "now": time.time(), "facts": FACTS}
SEEN = b'{"event":"inspected","id":"a","type":"file","label":"a","changes":{"a":[null,%s]}}\\n'
"""

HOSTILE = {
    "garbage": "for _ in range(2000): out.write(os.urandom(5000))",
    "a line without end": """
say(**HELLO)
try:
    while True: out.write(b'{"event":"output","text":"' + b"x" * 1000000)
except BrokenPipeError: pass""",
    "a line of many small things": """
out.write(b'{"event":"inspected","changes":' + b"[" + b"[]," * 5000000 + b"[]]}\\n")""",
    "deep nesting": """
say(**HELLO)
out.write(SEEN % (b"[" * 900 + b"]" * 900))
out.write(b'{"event":"inspected","id":' + b"[" * 500000 + b"]" * 500000 + b"}\\n")""",
    "other types": """
say(**HELLO)
say(event="inspected", id=7, type=[], label={}, changes=5)""",
    "numbers": """
say(**{**HELLO, "now": 1e400, "pid": -10**30})
say(event="done", ok=True, seconds=float("nan"), counts={"changed": 10**400})""",
    "words of Python": """
say(event="hello", self=1, cls=2)
say(event="inspected", work=7, notes=5, finding="x")""",
    "terminal": """
say(**{**HELLO, "user": "\\x1b[2J\\x1b]0;owned\\x07", "python": "\\u202e gnp.exe \\x9b31m"})
FINDING = {"code": "\\x1b[31m", "message": "\\x1b[2Jgone\\r\\x08\\x07", "severity": "error"}
say(event="error", finding={**FINDING, "hint": "\\x1bc", "log": ["\\x1b[H"]})
sys.stderr.write("\\x1b[2J\\x1b]52;c;b3duZWQ=\\x07")""",
    "questions": """
say(**HELLO)
try:
    for number in range(200000): say(event="turn", waits=True, number=number)
except BrokenPipeError: pass""",
    "questions of others": """
say(**HELLO)
say(event="leave", waits=True, number=1, service="web", ends=False)
say(event="return", waits=True, number=2, service="web", ends=True)
say(event="rotation", waits=True, number=3, known=True, servers=[])
say(event="out", waits=True, number=4)
say(event="turn", waits=True, number=5)
say(event="surveyed", waits=True, number=6, driver=None, cuda=None, gpus=None, holders=[], models=[],
    engines=[], learned=[], serving=[], starting=["web"])
say(event="surveyed", waits=False, number=7, driver=None, cuda=None, gpus=None, holders=[], models=[],
    engines=[], learned=[], serving=[], starting=["web"])
say(event="meet", waits=True, number=8, service="web", nodes=["honest", "evil"], step="look")""",
    "what only the controller says": """
say(**HELLO)
say(event="wave", number=1, of=1, hosts=["honest"], stopped=None)""",
    "events for ever": """
say(**HELLO)
number = 0
try:
    while True:
        number += 1
        say(event="inspected", id=f"file:{number}", type="file", label="x" * 10000, changes={"a": [1, 2]})
except BrokenPipeError: pass""",
    "not its name": """
say(event="hello", host="honest", **{key: value for key, value in HELLO.items() if key != "event"})
say(event="done", host="honest", ok=True)""",
}

MEMORY = 1_500_000
"""Kilobytes of addresses that the controller may take: a line of 16 MB may hold millions of things."""


@pytest.mark.parametrize(
    ("what", "output"), [*((what, "text") for what in HOSTILE), ("terminal", "json"), ("other types", "json")]
)
def test_what_a_hostile_host_says(tmp_path: Path, what: str, output: str) -> None:
    hostile = tmp_path / "python"
    hostile.write_text(f"#!{sys.executable}\n{BEGIN}\n{HOSTILE[what]}\n")
    hostile.chmod(0o755)
    hosts = {
        "evil": {"connection": "local", "python": str(hostile), "prefix": str(tmp_path / "evil")},
        "honest": {"connection": "local", "prefix": str(tmp_path / "prefix")},
    }
    (tmp_path / "hosts.yml").write_text(json.dumps({"hosts": hosts}))
    (tmp_path / "site.yml").write_text(
        f"- hosts: honest\n  files: {{{tmp_path}/made: {{content: x}}}}\n"
        f"- hosts: evil\n  files: {{{tmp_path}/evil: {{content: x}}}}\n"
    )
    limited = ["sh", "-c", f'ulimit -v {MEMORY}; exec "$@"', "sh", sys.executable, "-m", "provision"]
    argv = [*limited, "apply", "site.yml", "-i", "hosts.yml", "--yes", "--output", output]
    env = {"PYTHONPATH": str(REPOSITORY), "PATH": "/usr/bin:/bin", "HOME": str(tmp_path)}
    ended = subprocess.run(argv, cwd=tmp_path, capture_output=True, env=env, timeout=600, check=False)
    said = (ended.stdout + ended.stderr).decode()
    lies = what == "not its name"  # what it says of itself cannot be checked
    assert ended.returncode == (0 if lies else 1), said[-3000:]
    assert (tmp_path / "made").read_text() == "x"
    assert "Traceback" not in said, said[-3000:]
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e]", said)
    assert len(said) < 10_000_000
