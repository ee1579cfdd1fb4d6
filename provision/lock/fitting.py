"""Laying locks over what hosts are to have: each resource gets what is locked of it, or it is a problem."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

from provision.catalog.environments import digest
from provision.config import requirements
from provision.config.problems import ConfigError, Problem
from provision.lock.entries import asked, bare, written
from provision.lock.lockfile import EnvironmentEntry, Lock
from provision.wire.spec import Spec
from provision.wire.specs.apt import AptSpec, LockedPackages
from provision.wire.specs.container import ContainerSpec, LockedImage
from provision.wire.specs.environment import EnvironmentSpec, LockedEnvironment, Pin
from provision.wire.specs.model import LockedModel, ModelSpec, title

if TYPE_CHECKING:
    from provision.catalog.catalog import Resource
    from provision.fleet.fleet import Fleet

T = TypeVar("T")

AGAIN = "apply it with --no-lock, then run `provision lock`"


class Named(NamedTuple):
    """A lock, and what to call its file."""

    file: str
    lock: Lock


class Unfit(Exception):
    """What is declared is not what is locked; the text says why."""


def laid(fleet: Fleet, locks: Mapping[str, Named]) -> Fleet:
    """Return what the hosts are to have, with what is locked of it.

    Args:
        fleet: without locks.
        locks: by playbook; one without a lock is not there.

    Raises:
        ConfigError: something is declared that is not locked.
    """
    problems: list[Problem] = []
    catalogs = {}
    for name, catalog in fleet.catalogs.items():
        resources = [_laid(resource, locks, problems) for resource in catalog.resources]
        catalogs[name] = replace(catalog, resources=resources)
    if problems:
        raise ConfigError(problems)
    return fleet._replace(catalogs=catalogs)


def _laid(resource: Resource, locks: Mapping[str, Named], problems: list[Problem]) -> Resource:
    found = [locks[name] for name in resource.playbooks if name in locks]
    if not found:
        return resource
    try:
        spec = _spec(resource, found, whole=len(found) == len(resource.playbooks))
    except Unfit as unfit:
        message = f"{found[0].file} does not fit {resource.label}: {unfit}"
        problems.append(Problem("outdated-lock", resource.position, message, AGAIN))
        return resource
    return resource if spec is None else replace(resource, spec=spec)


def _spec(resource: Resource, found: Sequence[Named], whole: bool) -> Spec | None:
    """Return the record of a resource with what is locked; None where a lock has nothing of its kind."""
    spec, name = resource.spec, resource.id.partition(":")[2]
    match spec:
        case EnvironmentSpec():
            return spec.replace(locked=_first(_environments(spec, name, each) for each in found))
        case AptSpec():
            return spec.replace(locked=_packages(spec, found, whole))
        case ModelSpec() if spec.source != "path":
            return spec.replace(locked=_first(_models(spec, name, each) for each in found)[0])
        case ContainerSpec():
            return spec.replace(locked=_first(_images(spec, each) for each in found))
    return None


def _first(tried: Iterable[list[T]]) -> list[T]:
    """Return the first that is not empty."""
    for each in tried:
        if each:
            return each
    raise Unfit("it is not locked")


def _environments(spec: EnvironmentSpec, name: str, named: Named) -> list[LockedEnvironment]:
    entries = named.lock.environments.get(name, [])
    fitting = [entry for entry in entries if entry.declaration == digest(spec)]
    if not fitting:
        why = [misfit(spec, entry) for entry in entries]
        fitting = [entry for entry, misfits in zip(entries, why, strict=True) if misfits is None]
        if entries and not fitting:
            raise Unfit(str(why[0]))
    return [
        LockedEnvironment(
            lock=named.file,
            python=entry.python,
            machine=entry.machine,
            packages=[Pin(name=name, **each.model_dump()) for name, each in entry.packages.items()],
        )
        for entry in fitting
    ]


def misfit(spec: EnvironmentSpec, entry: EnvironmentEntry) -> str | None:
    """Return what an environment asks for that is not locked, or the other way round; None where all is."""
    for requirement in spec.requirements:
        if written(requirement) in entry.asked:
            continue
        limits = SpecifierSet(",".join("".join(each) for each in requirement.specifiers))
        locked = entry.packages.get(requirement.name or "")
        if locked is None or requirement.url or requirement.extras:
            return f"{requirement.raw} is not locked"
        if not limits.contains(locked.version, prereleases=True):
            return f"{requirement.raw} is asked for, and {locked.version} is locked"
    names = {requirement.name for requirement in spec.requirements}
    gone = [text for text in entry.asked if text not in asked(spec) and _name(text) not in names]
    if gone:
        return f"{gone[0]} is not asked for any more"
    unwanted = [name for name in spec.exclude if name in entry.packages]
    if unwanted:
        return f"{unwanted[0]} is excluded, and {entry.packages[unwanted[0]].version} is locked"
    for text in spec.constraints:
        limit = requirements.constraint(text)
        locked = entry.packages.get(limit.name or "") if limit else None
        if limit and locked and not limit.specifier.contains(locked.version, prereleases=True):
            return f"it is constrained to {text}, and {locked.version} is locked"
    return None


def _name(text: str) -> str | None:
    """Return the name of a requirement as a lock has it."""
    found = re.match(r"[A-Za-z0-9][A-Za-z0-9._-]*", text)
    return canonicalize_name(found.group()) if found else None


def _packages(spec: AptSpec, found: Sequence[Named], whole: bool) -> list[LockedPackages]:
    """Return what is locked of packages; those that another playbook without a lock declares stay free."""
    entries = [(named.file, entry) for named in found for entry in named.lock.packages]
    for package in spec.packages:
        versions = [entry.packages[package.name] for _, entry in entries if package.name in entry.packages]
        if not versions and whole:
            raise Unfit(f"{package.name} is not locked")
        wanted = package.version
        if wanted and versions and not any(each and fnmatchcase(each, wanted) for each in versions):
            raise Unfit(f"{package.name}={wanted} is asked for, and {versions[0]} is locked")
    names = {package.name for package in spec.packages}
    return [
        LockedPackages(
            lock=file,
            system=entry.system,
            machine=entry.machine,
            versions={name: version for name, version in entry.packages.items() if name in names},
        )
        for file, entry in entries
    ]


def _models(spec: ModelSpec, name: str, named: Named) -> list[LockedModel]:
    entries = named.lock.models.get(name, [])
    fitting = [entry for entry in entries if entry.snapshot == title(spec)]
    if entries and not fitting:
        raise Unfit(f"{title(spec)} is asked for, and {entries[0].snapshot} is locked")
    return [LockedModel(lock=named.file, commit=entry.commit, files=entry.files) for entry in fitting]


def _images(spec: ContainerSpec, named: Named) -> list[LockedImage]:
    entries = named.lock.images.get(spec.service, [])
    fitting = [entry for entry in entries if entry.image == bare(spec.image)]
    if entries and not fitting:
        raise Unfit(f"{spec.image} is asked for, and {entries[0].image} is locked")
    return [
        LockedImage(lock=named.file, machine=each.machine, id=each.id, digests=each.digests)
        for each in fitting
    ]
