"""The resource types that a request may name: each is the class in the module of its name, found there when
it is first asked for.
"""

from __future__ import annotations

from typing import Any, Mapping

from provision.host.failure import Failure
from provision.host.resource import Resource

_found: dict[str, type[Resource]] = {}


def type_of(name: str) -> type[Resource]:
    """Return the class of a resource type.

    Raises:
        Failure: no type has this name.
    """
    if name not in _found:
        _found[name] = _look_up(name)
    return _found[name]


def _look_up(name: str) -> type[Resource]:
    module: Any = None
    if name.isidentifier():
        try:
            module = __import__(f"{__name__}.{name}", fromlist=[name])
        except ModuleNotFoundError:
            pass
    for found in vars(module).values() if module else ():
        if isinstance(found, type) and issubclass(found, Resource) and found.__dict__.get("type") == name:
            return found
    raise Failure("unrecognized-message", f'this host side knows no resource type "{name}"')


def make(id: str, type: str, spec: Mapping[str, Any]) -> Resource:
    """Return the resource that an entry of a request describes.

    Raises:
        Failure: no type has this name.
        Mismatch: its spec is not what this type has.
    """
    kind = type_of(type)
    return kind(id, kind.Spec.parse(spec))


def recall(id: str, type: str, spec: Mapping[str, Any]) -> Resource:
    """Return the resource of an entry that was kept on this host, by this version or an older one.

    Raises:
        Failure: no type has this name.
    """
    kind = type_of(type)
    return kind(id, kind.Spec.recall({kind.RENAMED.get(key, key): value for key, value in spec.items()}))
