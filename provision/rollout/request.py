"""The one message that a host gets: everything that deciding there needs, secrets included."""

from __future__ import annotations

import getpass
import json
import socket
from typing import TYPE_CHECKING, Any

from provision.catalog.text import reveal
from provision.config.problems import ConfigError, Problem
from provision.rollout.keyring import Keyring
from provision.wire.requests import Service

if TYPE_CHECKING:
    from provision.catalog.catalog import Catalog, Resource, ServiceInfo
    from provision.config.secrets import Secret

VERSION = 1

CONVERGING = ("inspect", "apply")
"""The verbs that look at every resource. The others need no more than the probes, and so no secret."""


def build(catalog: Catalog, verb: str, keyring: Keyring, options: dict[str, Any]) -> bytes:
    """Return the request for one host.

    Args:
        catalog: what the host is to have.
        verb: `inspect`, `apply`, `verify`, `status`, `logs` or `remove`.
        keyring: resolves secrets, each once a run.
        options: what the verb's host side understands (see `provision/host`).

    Raises:
        ConfigError: secrets cannot be had; each problem at the place of its reference.
    """
    problems: list[Problem] = []
    message = {
        "version": VERSION,
        "verb": verb,
        "host": catalog.host.name,
        "state": f"{catalog.host.prefix}/state",
        "options": {"who": who(), **options},
        "resources": [
            {
                "id": resource.id,
                "type": resource.type,
                "label": resource.label,
                "needs": resource.needs,
                "triggers": resource.triggers,
                "followers": resource.followers,
                "playbooks": resource.playbooks,
                "service": resource.service,
                "spec": _revealed(resource, keyring, problems),
            }
            for resource in catalog.resources
            if verb in CONVERGING or resource.type == "probe"
        ],
        "services": [service_facts(service) for service in catalog.services],
    }
    if problems:
        raise ConfigError(problems)
    return json.dumps(message, ensure_ascii=False, separators=(",", ":")).encode()


def _revealed(resource: Resource, keyring: Keyring, problems: list[Problem]) -> Any:
    """Return what a resource is to be, with its secrets; what stands in the way is added to `problems`."""

    def resolve(secret: Secret) -> str:
        try:
            return keyring.resolve(secret)
        except ConfigError as error:
            problems.extend(error.problems)
            return ""

    try:
        return reveal(resource.spec.plain(), resolve)
    except ConfigError as error:
        problems.append(
            Problem(
                "unusable-secret", resource.position, f"{resource.label}: a secret cannot be used: {error}"
            )
        )
        return None


def service_facts(service: ServiceInfo) -> dict[str, Any]:
    """Return what the host side has to know of a service to tell its state or find its log."""
    return Service(
        service=service.name,
        kind=service.kind,
        supervisor=service.supervisor,
        unit=service.unit,
        log=service.log,
        pid_file=service.pid_file,
        container=service.container,
        engine=service.engine,
        port=service.port,
        url=service.url,
        model=service.model,
    ).plain()


def who() -> str:
    """Name the person and the machine, for whoever finds a host locked."""
    try:
        name = getpass.getuser()
    except (OSError, KeyError):
        name = "somebody"
    return f"{name}@{socket.gethostname()}"
