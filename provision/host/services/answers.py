"""What programs have answered when they were asked whether they would start.

Asking vLLM takes 10 s and more, nearly all of it its import. An answer holds as long as everything that it
came from is the same: question, arguments and variables, the packages of the environment, the files that the
arguments name, and the boot (a new driver comes with one). The last answers are kept in `answers/<service>`
of provision's directory.
"""

from __future__ import annotations

import os
import re
from hashlib import sha256
from typing import Any, Iterator, Sequence

from provision.host.python.dist_info import site_packages
from provision.host.state import durable
from provision.wire import plainjson
from provision.wire.finding import Finding
from provision.wire.record import Mismatch

KEPT = 16
"""Answers that are kept for each service; more than two are rarely asked for again."""

_PATH = re.compile(r"/[^\"'=,]+")
_BOOT = "/proc/sys/kernel/random/boot_id"


def question(program: Sequence[str], arguments: Sequence[str], variables: Sequence[str]) -> str | None:
    """Return what identifies a question and all that its answer depends on; None when that cannot be told.

    Args:
        program: what asks; the first word is the Python of an environment.
        arguments: what is asked about.
        variables: what it runs with.
    """
    packages = _packages(os.path.dirname(os.path.dirname(program[0])))
    if packages is None:
        return None
    named = sorted({path for word in arguments for path in _PATH.findall(word)})
    told = [
        [*program],
        [*arguments],
        [*variables],
        packages,
        [line for path in named for line in _look(path)],
        (durable.read(_BOOT) or "").split(),
    ]
    return sha256(plainjson.dumps(told).encode()).hexdigest()


def keep(state: str, service: str, question: str | None, refusal: Finding | None) -> None:
    """Note an answer; `state` is provision's directory on the host, no refusal the answer yes."""
    if question is None:
        return
    answers = {key: value for key, value in _read(state, service).items() if key != question}
    answers[question] = refusal.plain() if refusal else None
    newest = dict(list(answers.items())[-KEPT:])
    durable.write(_path(state, service), plainjson.dumps(newest) + "\n", mode=0o600)


def kept(state: str, service: str, question: str | None) -> tuple[bool, Finding | None]:
    """Return whether the answer is known, and why the program refuses, if it does."""
    answers = _read(state, service)
    if question is None or question not in answers:
        return False, None
    refusal = answers[question]
    try:
        return True, Finding.parse(refusal) if refusal else None
    except Mismatch:
        return False, None  # of another version


def _read(state: str, service: str) -> dict[str, Any]:
    text = durable.read(_path(state, service))
    try:
        found: dict[str, Any] = plainjson.loads(text) if text else {}
    except ValueError:
        return {}
    return found


def _path(state: str, service: str) -> str:
    return os.path.join(state, "answers", service)


def _packages(environment: str) -> list[str] | None:
    """Return what is installed in an environment, and when; None when it also uses packages elsewhere."""
    site = site_packages(environment)
    settings = durable.read(os.path.join(environment, "pyvenv.cfg")) or ""
    if site is None or re.search(r"include-system-site-packages\s*=\s*true", settings, re.IGNORECASE):
        return None
    found = []
    for name in sorted(os.listdir(site)):
        path = os.path.join(site, name)
        if name.endswith(".egg-link") or (name.endswith(".pth") and _leads_away(path)):
            return None
        if name.endswith((".dist-info", ".egg-info")):
            found += _stat(os.path.join(path, "RECORD"), name)
    return found


def _leads_away(path: str) -> bool:
    """Whether a .pth file names a directory, such as that of an editable installation."""
    lines = (line.strip() for line in (durable.read(path) or "").splitlines())
    return any(line and not line.startswith(("#", "import ", "import\t")) for line in lines)


def _look(path: str) -> Iterator[str]:
    """Return what would be different if a path, or a file in this directory, were changed."""
    try:
        names = sorted(os.listdir(path))
    except OSError:
        names = []
    yield from _stat(path, path)
    for name in names:
        yield from _stat(os.path.join(path, name), name)


def _stat(path: str, name: str) -> list[str]:
    try:
        found = os.stat(path)
    except OSError:
        return [name]
    return [f"{name} {found.st_mode} {found.st_size} {found.st_mtime_ns}"]
