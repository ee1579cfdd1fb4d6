"""The real host side over the local connection, on every Python that a distribution may have."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import pytest

from provision.connect import Local
from provision.transport.archive import Archive
from provision.transport.target import Target
from provision.wire.events import Done, Error, Hello, Inspected, Result
from tests.host import asked
from tests.unit.rollout.standin import ended, go

VERSIONS = Path(os.environ.get("PYENV_ROOT", "~/.pyenv")).expanduser() / "versions"


def pythons(pattern: str) -> dict[tuple[int, ...], Path]:
    """The interpreters of pyenv by version; without pyenv the distribution's only."""
    found = {tuple(map(int, path.parts[-3].split(".")[:2])): path for path in sorted(VERSIONS.glob(pattern))}
    return found or {sys.version_info[:2]: Path(sys.executable)}


PYTHONS = pythons("3.*/bin/python3")


@pytest.fixture(params=[python for number, python in PYTHONS.items() if number >= (3, 8)], ids=str)
def python(request: pytest.FixtureRequest) -> Path:
    path: Path = request.param
    return path


@pytest.fixture(params=[python for number, python in PYTHONS.items() if number < (3, 8)], ids=str)
def old_python(request: pytest.FixtureRequest) -> Path:
    path: Path = request.param
    return path


def request(verb: str, directory: Path) -> bytes:
    target = str(directory / "made")
    resource = {
        "id": f"directory:{target}", "type": "directory", "label": target, "needs": [], "triggers": [],
        "playbooks": ["p"], "service": None,
        "spec": {"path": target, "owner": None, "group": None, "mode": "0750"},
    }  # fmt: skip
    asking = asked.request(verb, [resource], state=str(directory / "state"), playbooks=["p"])
    return json.dumps(asking.plain()).encode()


def test_inspect_and_apply(python: Path, tmp_path: Path) -> None:
    for verb, status in (("inspect", None), ("apply", "changed"), ("apply", "ok"), ("inspect", None)):
        target = Target(Local(host="here", python=str(python)), request(verb, tmp_path))
        summary, events = go([target], Archive())
        assert summary.outcomes["here"] == "ok", events
        assert ended(events).executions == 1
        assert isinstance(events[0], Hello)
        assert isinstance(events[-1], Done)
        assert PYTHONS[tuple(map(int, events[0].python.split(".")[:2]))] == python
        results = [event.status for event in events if isinstance(event, Result)]
        assert results == ([status] if status else [])
    assert [event.changes for event in events if isinstance(event, Inspected)] == [{}]
    assert (tmp_path / "made").stat().st_mode & 0o777 == 0o750


def test_a_python_that_is_too_old_says_so(old_python: Path, tmp_path: Path) -> None:
    target = Target(Local(host="here", python=str(old_python)), request("inspect", tmp_path))
    summary, events = go([target], Archive())
    assert summary.outcomes["here"] == "failed"
    assert isinstance(events[-1], Error)
    assert events[-1].finding.message.startswith("Python 3.")
    assert "3.8 or newer is needed" in events[-1].finding.message


def test_a_python_2_says_so(tmp_path: Path) -> None:
    old = next(VERSIONS.glob("2.7*/bin/python2.7"), None)
    if old is None:
        pytest.skip("there is no Python 2 here")
    _, events = go([Target(Local(host="here", python=str(old)), request("inspect", tmp_path))], Archive())
    assert "is no Python 3" in str(events[-1])
