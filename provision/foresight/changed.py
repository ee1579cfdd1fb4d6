"""Which services change so much that what they logged about their last start says nothing about the next."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from provision.kinds.registry import KINDS
from provision.wire.specs.environment import EnvironmentSpec
from provision.wire.specs.file import FileSpec
from provision.wire.specs.model import ModelSpec

if TYPE_CHECKING:
    from provision.catalog.catalog import Catalog, Resource
    from provision.wire.events import Inspected, Options


def changed(catalog: Catalog, differing: Sequence[Inspected]) -> frozenset[str]:
    """Return the services whose environment, models, or options that decide differ.

    Args:
        catalog: what the host is to have.
        differing: what is not as declared.
    """
    kinds = {info.name: info.facts.kind for info in catalog.services}
    resources = {each.id: each for each in catalog.resources}
    known = ((resources[seen.id], seen) for seen in differing if seen.id in resources)
    return frozenset(
        service
        for resource, seen in known
        for service in _concerned(resource)
        if not (seen.options and _idle(seen.options, KINDS[kinds[service]].idle))
    )


def _concerned(resource: Resource) -> Iterator[str]:
    spec = resource.spec
    script = isinstance(spec, FileSpec) and bool(spec.options)
    if script or isinstance(spec, EnvironmentSpec | ModelSpec):
        yield from resource.triggers


def _idle(options: tuple[Options, Options], idle: frozenset[str]) -> bool:
    """Whether options differ, and none of those that differ decides."""
    were, are = ([tuple(option) for option in each] for each in options)
    different = set(were).symmetric_difference(are)
    return bool(different) and all(option[0] in idle for option in different)
