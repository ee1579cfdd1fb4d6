"""The request to one host: everything that it needs to decide there, with the secrets."""

from __future__ import annotations

import getpass
import os
from collections.abc import Collection, Iterable, Iterator
from typing import TYPE_CHECKING, Any

from provision import __version__
from provision.catalog.text import reveal
from provision.config.problems import ConfigError, Problem
from provision.rollout.keyring import Keyring
from provision.wire import VERSION, plainjson
from provision.wire.checks import Running
from provision.wire.requests import (
    Asked,
    Converging,
    Entry,
    History,
    Logs,
    Remove,
    Request,
    Rollback,
    Status,
    Take,
    Verify,
)
from provision.wire.revision import Origin

if TYPE_CHECKING:
    from provision.catalog.catalog import Catalog, Resource
    from provision.config.secrets import Secret


def build(
    catalog: Catalog,
    asked: Asked,
    keyring: Keyring,
    deferred: Collection[str] = (),
    digest: str | None = None,
    origin: Origin | None = None,
    fronted: dict[str, list[str]] | None = None,
    change: str = "",
) -> bytes:
    """Return the request for one host.

    Args:
        catalog: what the host is to have.
        asked: what to do there.
        keyring: resolves secrets, each once a run.
        deferred: ids of probes that wait for other hosts: now their service only has to run.
        digest: of the plan that was agreed to.
        origin: where the playbooks come from.
        fronted: the services that gateways pass requests to, each with these gateways.
        change: the id of the run.

    Raises:
        ConfigError: secrets cannot be read; each problem at the place of its reference.
    """
    resources: list[Resource] = []
    converges = isinstance(asked, Converging)
    if converges:
        resources = catalog.resources
    elif isinstance(asked, Verify):
        # The proofs alone, and so no secret.
        resources = [each for each in catalog.resources if each.proves]
    elif isinstance(asked, Take):
        resources = [*_lockable(catalog)]
    asks_services = isinstance(asked, Status | Logs | History | Rollback | Remove)
    request = Request(
        version=__version__,
        wire=VERSION,
        host=catalog.host.name,
        state=f"{catalog.host.prefix}/state",
        who=who(),
        asked=asked,
        resources=_entries(resources, keyring, deferred),
        services=[service.facts for service in catalog.services] if asks_services else [],
        digest=digest,
        origin=origin,
        fronted={name: each for name, each in (fronted or {}).items() if name not in _silent(catalog)},
        stakes=[each.stake for each in catalog.services if each.stake] if converges else [],
        change=change,
    )
    return plainjson.dumps(request.plain()).encode()


def _lockable(catalog: Catalog) -> Iterator[Resource]:
    """Give the resources of which a lock has something, without their secrets, which that does not need."""
    from dataclasses import replace

    from provision.wire.specs.apt import AptSpec
    from provision.wire.specs.container import ContainerSpec
    from provision.wire.specs.environment import EnvironmentSpec
    from provision.wire.specs.model import ModelSpec

    for resource in catalog.resources:
        spec = resource.spec
        match spec:
            case ModelSpec():
                yield replace(resource, spec=spec.replace(token=None))
            case ContainerSpec():
                yield replace(resource, spec=spec.replace(env={}, secrets=[], env_files=[]))
            case AptSpec() | EnvironmentSpec():
                yield resource


def _silent(catalog: Catalog) -> set[str]:
    """Return the services that take no requests here: the head is on another host."""
    nodes = [(service.name, service.facts.node) for service in catalog.services]
    return {name for name, node in nodes if node is not None and node.rank}


def _entries(resources: Iterable[Resource], keyring: Keyring, deferred: Collection[str]) -> list[Entry]:
    problems: list[Problem] = []
    entries = [
        Entry(
            id=resource.id,
            type=resource.type,
            label=resource.label,
            needs=resource.needs,
            triggers=resource.triggers,
            followers=resource.followers,
            playbooks=resource.playbooks,
            service=resource.service,
            spec=_revealed(resource, resource.id in deferred, keyring, problems),
        )
        for resource in resources
    ]
    if problems:
        raise ConfigError(problems)
    return entries


def _revealed(resource: Resource, deferred: bool, keyring: Keyring, problems: list[Problem]) -> Any:
    """Return the spec of a resource with its secrets; what is wrong with them is added to `problems`."""

    def resolve(secret: Secret) -> str:
        try:
            return keyring.resolve(secret)
        except ConfigError as error:
            problems.extend(error.problems)
            return ""

    # The page of a gateway says 503 as long as nothing behind it is up.
    spec = resource.spec.replace(checks=[Running()], health=False) if deferred else resource.spec
    try:
        return reveal(spec.plain(), resolve)
    except ConfigError as error:
        problems.append(
            Problem(
                "unusable-secret", resource.position, f"{resource.label}: a secret cannot be used: {error}"
            )
        )
        return None


def who() -> str:
    """Name the person and the machine, for whoever finds a host locked."""
    try:
        name = getpass.getuser()
    except (OSError, KeyError):
        name = "somebody"
    return f"{name}@{os.uname().nodename}"
