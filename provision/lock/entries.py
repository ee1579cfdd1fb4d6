"""What a host tells of a resource, as an entry of a lock."""

from __future__ import annotations

from hashlib import sha256
from typing import TYPE_CHECKING

from provision.catalog.environments import digest
from provision.lock.lockfile import (
    Entry,
    EnvironmentEntry,
    ImageEntry,
    LockedPackage,
    ModelEntry,
    PackagesEntry,
)
from provision.wire.specs.container import ContainerSpec
from provision.wire.specs.environment import EnvironmentSpec
from provision.wire.specs.model import ModelSpec, title
from provision.wire.taken import Taken

if TYPE_CHECKING:
    from provision.catalog.catalog import Resource
    from provision.wire.specs.environment import Requirement

PACKAGES = "packages"
"""The section of the packages of the distribution, which has no names; `--update` takes it as one."""


def entry_of(taken: Taken, resource: Resource) -> tuple[str, str, Entry]:
    """Return the section, the name and the entry of what a host tells."""
    spec = resource.spec
    if taken.environment and isinstance(spec, EnvironmentSpec):
        found = taken.environment
        packages = {
            pin.name: LockedPackage(
                version=pin.version,
                sha256=pin.sha256,
                direct=pin.direct,
                commit=pin.commit,
                unhashed=pin.unhashed,
            )
            for pin in found.packages
        }
        return (
            "environments",
            resource.id.partition(":")[2],
            EnvironmentEntry(
                python=found.python,
                machine=found.machine,
                declaration=digest(spec),
                asked=asked(spec),
                packages=packages,
            ),
        )
    if taken.model and isinstance(spec, ModelSpec):
        model = ModelEntry(snapshot=title(spec), commit=taken.model.commit, files=taken.model.files)
        return "models", resource.id.partition(":")[2], model
    if taken.image and isinstance(spec, ContainerSpec):
        image = ImageEntry(
            image=bare(spec.image),
            machine=taken.image.machine,
            id=taken.image.id,
            digests=taken.image.digests,
        )
        return "images", spec.service, image
    assert taken.packages
    entry = PackagesEntry(
        system=taken.packages.system, machine=taken.packages.machine, packages=taken.packages.versions
    )
    return PACKAGES, PACKAGES, entry


def bare(image: str) -> str:
    """Return the name of an image without that of its registry: another mirror has the same image."""
    first, slash, rest = image.partition("/")
    return rest if slash and ("." in first or ":" in first or first == "localhost") else image


def asked(spec: EnvironmentSpec) -> list[str]:
    """Return what an environment asks for, in an order of its own.

    Of a place only a digest: it may name a server, which does not belong into a lock.
    """
    return sorted(map(written, spec.requirements))


def written(requirement: Requirement) -> str:
    """Return a requirement as a lock has it."""
    if requirement.url is None:
        return requirement.raw
    return f"{requirement.name or ''} @ {sha256(requirement.raw.encode()).hexdigest()[:8]}".strip()
