"""Which services change so much that what they logged about their last start says nothing about the next."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import TYPE_CHECKING

from provision.wire.specs.environment import EnvironmentSpec
from provision.wire.specs.file import FileSpec
from provision.wire.specs.model import ModelSpec

if TYPE_CHECKING:
    from provision.catalog.catalog import Catalog, Resource


def changed(catalog: Catalog, differing: Collection[str]) -> frozenset[str]:
    """Return the services whose start script, environment or models differ.

    Args:
        catalog: what the host is to have.
        differing: ids of the resources that are not as declared.
    """
    wanted = frozenset(differing)
    return frozenset(
        service for each in catalog.resources if each.id in wanted for service in _decides_for(each)
    )


def _decides_for(resource: Resource) -> Iterator[str]:
    spec = resource.spec
    script = isinstance(spec, FileSpec) and bool(spec.options)
    if script or isinstance(spec, EnvironmentSpec | ModelSpec):
        yield from resource.triggers
