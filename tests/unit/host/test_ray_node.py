"""One node of a Ray cluster: what it says when it cannot join, and what it leaves behind."""

from __future__ import annotations

import argparse
import json
import platform
import socket
import sys
import time
import types
from pathlib import Path
from typing import Any

import pytest

from provision.host.services.nodes import rank, ray_node


def node(tmp_path: Path, **asked: Any) -> ray_node.Node:
    known = {
        "service": "cluster",
        "node": "gpu-2",
        "head": "gpu-1",
        "address": "127.0.0.1",
        "port": 6379,
        "client_port": 6386,
        "names": str(tmp_path / "nodes.json"),
        "state": str(tmp_path / "node.json"),
        "temporary": str(tmp_path),
        "interface": None,
    }
    return ray_node.Node(argparse.Namespace(**{**known, **asked}), [])


def state(tmp_path: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((tmp_path / "node.json").read_text())
    return found


@pytest.mark.parametrize(
    ("here", "there", "said"),
    [
        (
            ("2.59.0", platform.python_version()),
            ("2.60.0", platform.python_version()),
            "gpu-2 has Ray 2.59.0",
        ),
        (
            ("2.60.0", platform.python_version()),
            ("2.60.0", "3.99.0"),
            "gpu-1 has Ray 2.60.0 with Python 3.99.0",
        ),
        (("2.60.0", platform.python_version()), ("2.60.0", platform.python_version()), ""),
    ],
)
def test_other_versions_than_those_of_the_head_are_named(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    here: tuple[str, str],
    there: tuple[str, str],
    said: str,
) -> None:
    ray = types.ModuleType("ray")
    ray.__version__ = here[0]  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "ray", ray)
    made = node(tmp_path)
    made.eye = ray_node.Eye(("127.0.0.1", 6379))
    made.eye.seen = ray_node.Seen({}, there)
    assert said in made.misfit()
    assert bool(made.misfit()) is bool(said)


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("192.0.2.7", "is no address of this host that others reach"),
        ("no.such.host.invalid", "has no address"),
    ],
)
def test_a_head_needs_an_address_of_its_own(tmp_path: Path, address: str, said: str) -> None:
    with pytest.raises(rank.Ended, match=said):
        node(tmp_path, node="gpu-1", address=address).own_place()


def test_an_interface_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(rank.Ended, match="there is no interface eth77"):
        node(tmp_path, node="gpu-1", interface="eth77").own_place()


def test_a_node_waits_for_its_head_and_says_for_what(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as door:
        free = door.getsockname()[1]
    made = node(tmp_path, port=free)
    tries = iter([1.0, 1.0])

    def rest(seconds: float) -> None:
        if next(tries, None) is None:
            raise ray_node.Stopped

    monkeypatch.setattr(made, "rest", rest)
    with pytest.raises(ray_node.Stopped):
        made.find_head()
    told = f"127.0.0.1:{free}: Connection refused"
    assert state(tmp_path)["why"] == told
    assert state(tmp_path)["missing"] == ["gpu-1"]
    assert capfd.readouterr().err == f"provision: cluster: waits for gpu-1 at {told}\n"  # once


def test_a_node_joins_once_the_head_itself_is_alive(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        made = node(tmp_path, port=server.getsockname()[1])
        eye = made.eye = ray_node.Eye(("127.0.0.1", 1))
        eye.seen = ray_node.Seen({}, ("", ""))  # its GCS answers, and knows no node yet
        monkeypatch.setattr(made, "misfit", lambda: "")

        def rest(seconds: float) -> None:
            assert "waits for gpu-1: it starts itself" in capfd.readouterr().err
            eye.seen = ray_node.Seen({"a": ("gpu-1", True)}, ("", ""))

        monkeypatch.setattr(made, "rest", rest)
        assert made.find_head() == ("127.0.0.1", "127.0.0.1")


def test_the_head_names_who_is_missing(tmp_path: Path) -> None:
    (tmp_path / "nodes.json").write_text('["gpu-1", "gpu-2", "gpu-3"]')
    made = node(tmp_path, node="gpu-1")
    made.serve(ray_node.Seen({"a": ("gpu-1", True), "b": ("gpu-2", False)}, ("", "")))
    assert (state(tmp_path)["phase"], state(tmp_path)["missing"]) == (rank.WAITING, ["gpu-2", "gpu-3"])
    made.serve(ray_node.Seen({name: (name, True) for name in ("gpu-1", "gpu-2", "gpu-3")}, ("", "")))
    assert state(tmp_path)["phase"] == rank.SERVING


def test_a_stop_ends_a_wait_at_once(tmp_path: Path) -> None:
    made = node(tmp_path)
    made._heed(15, None)
    began = time.monotonic()
    with pytest.raises(ray_node.Stopped):
        made.rest(60.0)
    assert time.monotonic() - began < 30


def test_the_logs_of_the_last_sessions_are_kept(tmp_path: Path) -> None:
    for name in ("session_2026-01-01_a", "session_2026-01-02_b", "session_2026-01-03_c", "other"):
        (tmp_path / name).mkdir()
    node(tmp_path).sweep()
    kept = sorted(path.name for path in tmp_path.iterdir() if path.is_dir())
    assert kept == ["other", "session_2026-01-02_b", "session_2026-01-03_c"]


def test_faults_of_this_try_are_shown_and_no_earlier_ones(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    logs = tmp_path / "session_latest" / "logs"
    logs.mkdir(parents=True)
    log = logs / "raylet.out"
    log.write_text("[2026-01-01 00:00:00,000 C 1 1] (raylet) earlier\n")
    made = node(tmp_path)
    made._logged = {path: Path(path).stat().st_size for path in made.logs() if Path(path).exists()}
    with log.open("a") as file:
        file.write(
            "[2026-01-01 00:01:00,000 C 1 1] (raylet) Check failed\n[2026-01-01 00:01:01,000 I 1 1] fine\n"
        )
    made.show_faults()
    assert capfd.readouterr().err == "raylet.out: [2026-01-01 00:01:00,000 C 1 1] (raylet) Check failed\n"
