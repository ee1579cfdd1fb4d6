"""Driving one resource at a time, here or on a booted host."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from provision.host.machine import Machine
from provision.host.resources.environment import Environment
from provision.wire.spec import Spec
from provision.wire.specs.environment import EnvironmentSpec, Requirement
from tests.host.drive import drive
from tests.host.entries import entry, type_of
from tests.host.services import Service
from tests.lab import Lab, LabHost

REPOSITORY = Path(__file__).resolve().parents[2]

Drive = Callable[..., dict[str, Any]]

EVENTS = "/var/tmp/events-"
"""On a host: what `there` has told so far, by user."""


@pytest.fixture
def here(tmp_path: Path) -> Drive:
    """Drive a resource on this machine: `here(FileSpec(…), verb="fix")`."""

    def run(spec: Spec, verb: str = "fix") -> dict[str, Any]:
        resource = entry(f"{type_of(spec)}:test", spec)
        return drive({"resource": resource, "verb": verb, "state": str(tmp_path / "state")})

    return run


@pytest.fixture(scope="module")
def host(lab: Lab, request: pytest.FixtureRequest) -> Iterator[LabHost]:
    """A host for the tests of one module, which sees the sources of this repository."""
    name = "m" + request.module.__name__.rpartition(".")[2].replace("_", "")[-12:]
    try:
        yield lab.add(name, binds=(f"{REPOSITORY}:/src",))[0]
    finally:
        if name in lab.hosts:
            lab.remove(name)


@pytest.fixture
def there(host: LabHost) -> Drive:
    """Drive a resource on the module's host, as root or as another user."""

    def run(spec: Spec, verb: str = "fix", user: str = "root") -> dict[str, Any]:
        order = {
            "resource": entry(f"{type_of(spec)}:test", spec),
            "verb": verb,
            "state": f"/var/tmp/state-{user}",
            "events": EVENTS + user,
        }
        argv = ["runuser", "-u", user, "--", "python3", "/src/tests/host/drive.py"]
        result: dict[str, Any] = json.loads(host.exec(argv, input=json.dumps(order)).stdout)
        return result

    return run


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    """A script-supervised service, which is stopped in the end."""
    made = Service(tmp_path)
    yield made
    made.stop_timeout = 0.1
    made.process().remove(made.machine)
    assert not made.process()._members()


@pytest.fixture(scope="session")
def clients(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The Python of an environment with both hubs' libraries."""
    path = tmp_path_factory.mktemp("clients") / "environment"
    names = ["modelscope", "huggingface_hub"]
    requirements = [Requirement(raw=name, name=name) for name in names]
    environment = Environment("environment:c", EnvironmentSpec(path=str(path), requirements=requirements))
    environment.fix(Machine(lambda event: None, str(path.parent / "state")), {})
    return str(path / "bin/python")
