"""One host for the tests of a file, and one fault at a time."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

import pytest

from tests.faults.trouble import Trouble
from tests.lab import Lab


@pytest.fixture(scope="module")
def site(
    lab: Lab, request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Trouble]:
    name = request.module.__name__.rpartition(".")[2].replace("test_", "f")
    (host,) = lab.add(name)
    yield Trouble(lab, host, tmp_path_factory.mktemp(name))
    lab.remove(name)


@pytest.fixture
def trouble(
    site: Trouble, request: pytest.FixtureRequest, record_property: Callable[[str, object], None]
) -> Trouble:
    """The host of this file; what it says of the fault goes into the table of docs/trust.md."""
    site.note = record_property
    # A playbook of its own, so that nothing of another test is left over in it.
    site.page = site.folder / f"{re.sub('[^a-z]+', '-', request.node.name)}.yml"
    return site
