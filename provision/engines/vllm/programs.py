"""The programs that an environment's own Python runs on hosts, as one text each."""

from __future__ import annotations

from functools import cache
from importlib import resources

_IMPORT = "from provision.engines.vllm.parsers import parser\n"
_FUTURE = "from __future__ import annotations\n"


@cache
def text(name: str) -> str:
    """Return a program of this package, with what it imports from there written into it."""
    shared = _source("parsers").partition(_FUTURE)[2].strip()
    program = _source(name)
    assert _IMPORT in program, name
    return program.replace(_IMPORT, f"{shared}\n")


def _source(name: str) -> str:
    return (resources.files("provision.engines.vllm") / f"{name}.py").read_text(encoding="utf-8")
