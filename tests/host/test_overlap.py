"""What happens at the same time in one run, by the order of its events."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from provision.host.machine import Machine
from provision.show.jsonl import fields
from provision.wire.events import Event as Told
from provision.wire.specs.directory import DirectorySpec
from provision.wire.specs.environment import EnvironmentSpec
from provision.wire.specs.model import ModelSpec
from tests.host import asked
from tests.host.entries import entry
from tests.host.package_index import serve, simple
from tests.host.test_environment import requirement
from tests.host.wheels import wheel
from tests.lab.hub import Fault, Hub

WORKERS = 4
"""Resources that are worked on at once."""

Event = dict[str, Any]


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[Hub]:
    """Six models of one small file each."""
    for number in range(6):
        file = tmp_path / f"hub/tiny/m{number}/config.json"
        file.parent.mkdir(parents=True)
        file.write_bytes(os.urandom(60_000))
    with Hub(tmp_path / "hub") as hub:
        yield hub


@pytest.fixture(autouse=True)
def pip_is_told_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("PIP_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)


def model(root: Path, hub: Hub, number: int, python: str) -> dict[str, Any]:
    name = f"m{number}"
    return entry(
        f"model:{name}",
        ModelSpec(
            path=str(root / "models" / name),
            source="modelscope",
            repo=f"tiny/{name}",
            revision="master",
            endpoint=hub.url,
            python=python,
            workers=1,
        ),
    )


def apply(
    root: Path, resources: list[dict[str, Any]], hear: Callable[[Event], None] = lambda event: None
) -> list[Event]:
    """Converge; return the events in their order."""
    events: list[Event] = []

    def emit(event: Told) -> None:
        events.append(fields(event))
        hear(events[-1])

    done = asked.carry_out(Machine(emit, str(root / "state")), "apply", resources)
    assert done.ok, [event for event in events if event.get("error")]
    return events


def at_work(events: list[Event]) -> Iterator[set[str]]:
    """Yield what is worked on, each time that this changes."""
    busy: set[str] = set()
    for event in events:
        if event["event"] == "started":
            busy.add(event["id"])
        elif event["event"] == "result":
            busy.discard(event["id"])
        else:
            continue
        yield set(busy)


def test_a_model_arrives_while_an_environment_is_installed(tmp_path: Path, hub: Hub, clients: str) -> None:
    index = simple(tmp_path / "index", wheel(tmp_path, "demo-alpha", "1.0"))
    with serve(index) as served:
        served.open.clear()  # until the model is there: one after the other, the run would not end
        environment = entry(
            "environment:e",
            EnvironmentSpec(
                path=str(tmp_path / "environments/e"),
                requirements=[requirement("demo-alpha==1.0")],
                index_url=f"http://127.0.0.1:{served.port}/",
            ),
        )

        def hear(event: Event) -> None:
            if event["event"] == "result" and event["id"] == "model:m0":
                served.open.set()

        events = apply(tmp_path, [environment, model(tmp_path, hub, 0, clients)], hear)
    assert {"environment:e", "model:m0"} in list(at_work(events))


def test_several_models_arrive_at_once_and_no_more_than_the_bound(
    tmp_path: Path, hub: Hub, clients: str
) -> None:
    hub.break_(Fault("config.json", hold=0))
    begun: list[str] = []

    def hear(event: Event) -> None:
        if event["event"] == "started" and event["id"].startswith("model:"):
            begun.append(event["id"])
            if len(begun) == WORKERS:
                hub.mend()

    events = apply(tmp_path, [model(tmp_path, hub, number, clients) for number in range(6)], hear)
    assert max(len(busy) for busy in at_work(events)) == WORKERS
    assert len(hub.downloads("config.json")) == 6


def test_what_needs_another_waits_for_it_alone(tmp_path: Path, hub: Hub, clients: str) -> None:
    """A model needs its environment, and not the slow one beside it."""
    slow, quick = model(tmp_path, hub, 0, clients), model(tmp_path, hub, 1, clients)
    hub.break_(Fault("m0/", hold=0))
    path = str(tmp_path / "after")
    after = entry(f"directory:{path}", DirectorySpec(path=path, mode="0755"), needs=["model:m1"])

    def hear(event: Event) -> None:
        if event["event"] == "result" and event["id"] == after["id"]:
            hub.mend()

    events = apply(tmp_path, [slow, quick, after], hear)
    ends = [event["id"] for event in events if event["event"] == "result"]
    assert ends.index(f"directory:{path}") < ends.index("model:m0")
