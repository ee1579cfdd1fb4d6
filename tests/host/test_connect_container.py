"""Containers as hosts, run by the real podman."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from provision.connect import Local, Ssh
from provision.connect.container import Container
from provision.rollout.run import run
from provision.transport.target import Target
from provision.wire.events import Done, Hello, Note
from provision.wire.rollout import Unreachable
from tests.lab import Lab, LabHost, Podman
from tests.lab.podman import IMAGE
from tests.unit.rollout.standin import AGREED, asks, ended, go, host_side, note

pytestmark = pytest.mark.lab

ANSWER = """
hello()
note(" ".join([str(os.geteuid()), open("/etc/mark").read()]))
say(event="done", ok=True)
return 0
"""


@pytest.fixture(scope="module")
def engine(podman: Podman) -> Iterator[Podman]:
    """The tests' podman, with the container `web` running and one that is stopped."""
    try:
        for name in ("web", "stopped"):
            podman.run("run", "-d", "--name", name, "--network", "host", IMAGE)
            podman.run("exec", name, "sh", "-c", f"echo {name} >/etc/mark")
        podman.run("stop", "-t", "0", "stopped")
        yield podman
    finally:
        podman.run("rm", "-f", "-t", "0", "web", "stopped")


@pytest.fixture
def container(engine: Podman, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Container]:
    monkeypatch.setenv("PATH", f"{engine.bin}:{os.environ['PATH']}")

    def make(name: str, **more: object) -> Container:
        values: dict[str, object] = {"engine": "podman", "through": Local("localhost"), **more}
        return Container(host=name, container=name, **values)  # type: ignore[arg-type]

    return make


def test_runs_inside(container: Callable[..., Container], tmp_path: Path) -> None:
    archive = host_side(tmp_path, ANSWER)
    _, first = go([Target(container("web"), b"x")], archive)
    assert [type(event) for event in first] == [Hello, Note, Done]
    assert first[1] == note("web", "0 web\n")
    _, second = go([Target(container("web"), b"x")], archive)
    assert ended(first).executions == ended(second).executions == 1
    assert ended(second).sent < ended(first).sent


def test_a_question_is_answered(container: Callable[..., Container], tmp_path: Path) -> None:
    _, events = go([Target(container("web"), b"x")], asks(tmp_path))
    assert events[2] == AGREED.replace(host="web")
    assert ended(events).executions == 1


def test_as_a_user_of_the_image(container: Callable[..., Container], tmp_path: Path) -> None:
    _, events = go([Target(container("web", user="nobody"), b"x")], host_side(tmp_path, ANSWER))
    assert events[1] == note("web", "65534 web\n")


def test_one_that_is_not_there_or_does_not_run(container: Callable[..., Container], tmp_path: Path) -> None:
    archive = host_side(tmp_path, ANSWER)
    _, events = go([Target(container("gone"), b"x")], archive)
    assert isinstance(events[-1], Unreachable)
    assert events[-1].finding.message == "there is no container gone"
    _, events = go([Target(container("stopped"), b"x")], archive)
    assert isinstance(events[-1], Unreachable)
    assert events[-1].finding.message == "the container stopped is not running"


def test_through_ssh_and_sudo(lab: Lab, boot_host: Callable[..., LabHost], tmp_path: Path) -> None:
    """The way counts here: the engine on that host only checks its command line and goes on in place."""
    host = boot_host()
    engine = host.root / "usr/local/bin/podman"
    engine.write_text('#!/bin/sh\n[ "$1 $2 $3 $4" = "exec -i -- web" ] || exit 9\nshift 4\nexec "$@"\n')
    engine.chmod(0o755)
    (host.root / "etc/mark").write_text("box\n")
    for user, password in (("deploy", None), ("ops", "ops")):
        box = Ssh(
            host="box",
            address=host.address,
            user=user,
            identity_file=str(lab.key),
            options=(f"UserKnownHostsFile={lab.known_hosts}", "ControlPath=none"),
            become=True,
            asks_password=password is not None,
        )
        target = Target(Container(host="web", container="web", through=box), b"x")
        events: list[object] = []
        archive = host_side(tmp_path / user, ANSWER)
        summary = run([target], None, events.append, password=password, archive=archive)
        assert summary.outcomes["web"] == "ok", events
        assert events[1] == note("web", "0 box\n")
