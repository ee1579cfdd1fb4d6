"""Compiling YAML as users write it."""

from __future__ import annotations

import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from provision.catalog.catalog import Catalog, Resource
from provision.config.problems import ConfigError
from provision.project.load import load
from provision.project.project import Selection
from provision.wire.record import R

ROOT = "{gpu-box: {connection: ssh, address: 10.0.0.12, user: ops, become: true}}"
"""A host that is used as root."""

TWO = ROOT[:-1] + ", gpu-2: {connection: ssh, address: 10.0.0.13, user: ops, become: true}}"
"""Two hosts that are used as root."""

LOCAL = "{gpu-box: {connection: ssh, address: 10.0.0.12, user: ops, prefix: /home/ops/provision}}"
"""A host that is used without root."""


class Project:
    """A directory with an inventory and playbooks."""

    def __init__(self, root: Path) -> None:
        self.root = root
        (root / "playbooks").mkdir()

    def write(self, name: str, content: str) -> Path:
        """Write a file of the project."""
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(content), encoding="utf-8")
        return path

    def compile(self, *playbooks: str, hosts: str = ROOT, vars: str = "{}") -> Catalog:
        """Compile playbooks (YAML texts, the first is `one`) for the host `gpu-box`."""
        self.write("inventories/hosts.yml", f"vars: {vars}\nhosts: {hosts}\n")
        texts = zip(("one", "two", "three"), playbooks, strict=False)
        paths = [self.write(f"playbooks/{name}.yml", content) for name, content in texts]
        return load(Selection(tuple(paths))).fleet.catalogs["gpu-box"]

    def problems(self, *playbooks: str, **options: str) -> list[str]:
        """Return what is wrong with playbooks, without the directory in front."""
        with pytest.raises(ConfigError) as error:
            self.compile(*playbooks, **options)
        return [str(problem).replace(f"{self.root}/", "") for problem in error.value.problems]


def resource(catalog: Catalog, id: str) -> Resource:
    """Return one resource of a catalog."""
    (found,) = (resource for resource in catalog.resources if resource.id == id)
    return found


def spec(catalog: Catalog, id: str) -> Any:
    """Return the record of one resource of a catalog."""
    return resource(catalog, id).spec


def record(catalog: Catalog, id: str, kind: type[R]) -> R:
    """Return the record of one resource, which is of this type."""
    found = spec(catalog, id)
    assert isinstance(found, kind)
    return found


def order(catalog: Catalog) -> Callable[[str], int]:
    """Return a function that gives a resource's place in the order."""
    return [resource.id for resource in catalog.resources].index


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project(tmp_path)
