"""The resource types a request may name, each imported when it is first asked for."""

from __future__ import annotations

from typing import Any, Mapping

from provision.host.failure import Failure
from provision.host.resource import Resource

TYPES: dict[str, str] = {
    "apt": "provision.host.resources.apt:Apt",
    "group": "provision.host.resources.group:Group",
    "user": "provision.host.resources.user:User",
    "directory": "provision.host.resources.directory:Directory",
    "file": "provision.host.resources.file:File",
    "tree": "provision.host.resources.tree:Tree",
    "command": "provision.host.resources.command:Command",
    "environment": "provision.host.resources.environment:Environment",
    "model": "provision.host.resources.model:Model",
    "unit": "provision.host.resources.unit:Unit",
    "process": "provision.host.resources.process:Process",
    "probe": "provision.host.resources.probe:Probe",
    "container": "provision.host.resources.container:Container",
}
"""Type name -> "module:class"."""


def type_of(name: str) -> type[Resource]:
    """Return the class of a resource type.

    Raises:
        Failure: no type has this name.
    """
    where = TYPES.get(name)
    if where is None:
        raise Failure("unrecognized-message", f'this host side knows no resource type "{name}"')
    module, _, cls = where.partition(":")
    found: type[Resource] = getattr(__import__(module, fromlist=[cls]), cls)
    return found


def make(entry: Mapping[str, Any]) -> Resource:
    """Return the resource that an entry of a request (`id`, `type`, `spec`) describes.

    Raises:
        Failure: no type has the name in `type`.
        Mismatch: its spec is not what this type has.
    """
    kind = type_of(entry["type"])
    return kind(entry["id"], kind.Spec.parse(entry["spec"]))


def recall(entry: Mapping[str, Any]) -> Resource:
    """Return the resource of an entry that was kept on this host, by this version or an older one.

    Raises:
        Failure: no type has the name in `type`.
    """
    kind = type_of(entry["type"])
    spec = {kind.RENAMED.get(key, key): value for key, value in entry["spec"].items()}
    return kind(entry["id"], kind.Spec.recall(spec))
