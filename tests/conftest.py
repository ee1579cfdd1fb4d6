"""Fixtures that boot real hosts."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from tests.lab import Base, Hub, Lab, LabHost, Podman, missing_requirements
from tests.lab.models import hub_root

_numbers = count(1)

# The same examples each time, and as long as they take: a busy machine is no fault of what is tested.
settings.register_profile(
    "tests",
    derandomize=True,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
settings.load_profile("tests")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with what takes longest, so that no worker is alone with it at the end."""
    items.sort(key=lambda item: [item.get_closest_marker(name) is None for name in ("slow", "lab")])


@pytest.fixture(scope="session")
def lab() -> Iterator[Lab]:
    """Three hosts, h1 to h3, shared by all tests of the session."""
    missing = missing_requirements()
    if missing and os.environ.get("CI"):
        pytest.fail(f"CI must run the tests on real hosts, but {missing}")
    if missing:
        pytest.skip(missing)
    with Lab(f"pytest-{os.getpid()}", owned=True) as lab:
        lab.up(3)
        yield lab


@pytest.fixture
def boot_host(lab: Lab) -> Iterator[Callable[..., LabHost]]:
    """Boot further hosts; each call gives a fresh one, and all are gone after the test.

    Called with what ``Lab.add`` takes besides the name: ``boot_host(base=Base("trixie"), nested=True)``.
    """
    names: list[str] = []

    def boot(base: Base | None = None, binds: tuple[str, ...] = (), nested: bool = False) -> LabHost:
        name = f"t{next(_numbers)}"
        names.append(name)
        return lab.add(name, base=base, binds=binds, nested=nested)[0]

    yield boot
    lab.remove(*(name for name in names if name in lab.hosts))


@pytest.fixture
def lab_host(boot_host: Callable[..., LabHost]) -> LabHost:
    """A clean host for one test."""
    return boot_host()


@pytest.fixture(scope="session")
def podman() -> Iterator[Podman]:
    """A podman of the session's own, with the image ``localhost/lab:1``."""
    if shutil.which("podman") is None or os.geteuid() != 0:
        if os.environ.get("CI"):
            pytest.fail("CI must run containers, but that needs root and podman")
        pytest.skip("needs root and podman")
    # Not in pytest's own directory: podman refuses paths of more than 50 characters.
    with (
        tempfile.TemporaryDirectory(prefix="podman-") as directory,
        Podman(Path(directory, "engine")) as podman,
    ):
        podman.image()
        yield podman


@pytest.fixture
def hub(lab: Lab) -> Iterator[Hub]:
    """The tiny chat model under its real name, served to the hosts of the lab by both protocols."""
    with Hub(hub_root(), address=lab.network.gateway) as hub:
        yield hub


@pytest.fixture
def local_hub() -> Iterator[Hub]:
    """The same on 127.0.0.1, for tests without hosts."""
    with Hub(hub_root()) as hub:
        yield hub
