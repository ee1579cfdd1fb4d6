"""What stands for modules of the standard library, and becomes what it stands for."""

from __future__ import annotations

import subprocess
import sys

import pytest

HEAD = """
import sys
from provision.deferred import defer
defer()
import inspect, ipaddress, platform, uuid, urllib.parse
import click
assert not {"ast", "dis", "tokenize"} & set(sys.modules)
assert type(sys.modules["inspect"]) is not type(sys)
"""


@pytest.mark.parametrize(
    ("program", "printed"),
    [
        ("print(repr(inspect.cleandoc('  a b ')), 'ast' in sys.modules)", "'a b ' False"),
        (r"print(repr(inspect.cleandoc('a\n    b\n    c')), 'ast' in sys.modules)", r"'a\nb\nc' True"),
        ("print(inspect.signature(lambda a, *, b=1: a))", "(a, *, b=1)"),
        ("from inspect import Parameter; print(Parameter.__name__)", "Parameter"),
        ("print(platform.system(), 're' in dir(platform))", "Linux False"),
        ("print(platform.python_implementation(), platform.system())", "CPython Linux"),
        ("print(ipaddress.ip_address('::1'), hasattr(ipaddress, 'nothing'))", "::1 False"),
        ("print(urllib.parse.urlsplit('http://[::1]:8000/').port, uuid.uuid4().version)", "8000 4"),
    ],
)
def test_whatever_is_asked_for_is_there(program: str, printed: str) -> None:
    ended = subprocess.run(
        [sys.executable, "-c", HEAD + program], capture_output=True, text=True, check=False
    )
    assert (ended.stdout, ended.stderr) == (f"{printed}\n", "")


def test_modules_that_are_there_stay() -> None:
    program = "import inspect, sys; from provision.deferred import defer; defer()"
    program += "; assert inspect is sys.modules['inspect']"
    subprocess.run([sys.executable, "-c", program], check=True)
