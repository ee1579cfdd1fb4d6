"""A request that the host side does not understand."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from provision import __version__
from tests.host import asked


def answered(request: dict[str, Any]) -> list[dict[str, Any]]:
    program = f"from provision.host.main import main; main({json.dumps(request)!r}.encode())"
    argv = [sys.executable, "-c", program]
    # Its standard input stays open: the end of it would mean that nobody waits.
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as host:
        assert host.stdout is not None
        return [json.loads(line) for line in host.stdout]


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"moon": "full"}, "Request has no field `moon`"),
        ({"asked": {"verb": "status", "moon": "full"}}, "Status has no field `moon`"),
        ({"services": [{"service": "s"}]}, "Service lacks `kind`"),
        ({"asked": {"verb": "dance"}}, "unknown verb 'dance'"),
    ],
)
def test_it_is_refused_with_both_versions(tmp_path: Path, change: dict[str, Any], why: str) -> None:
    request = asked.request("status", state=str(tmp_path)).plain()
    refused({**request, **change}, why)


def test_so_is_a_resource_whose_spec_is_not_what_its_type_has(tmp_path: Path) -> None:
    file = {"id": "file:/x", "type": "file", "spec": {"path": "/x", "moon": "full"}}
    request = asked.request("apply", [file], state=str(tmp_path / "state"))
    refused(request.plain(), "FileSpec has no field `moon`")
    assert not (tmp_path / "state/ledger.json").exists()


def refused(request: dict[str, Any], why: str) -> None:
    hello, error, done = answered({**request, "version": "99.1"})
    assert hello["provision"] == __version__
    assert error["finding"]["code"] == "unrecognized-message"
    assert error["finding"]["message"].startswith(f"unrecognized request: {why}")
    assert error["finding"]["message"].endswith(f"(sent by provision 99.1, received by {__version__})")
    assert done["ok"] is False
