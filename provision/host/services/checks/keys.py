"""The key that a service asks for, read where the service itself has it."""

from __future__ import annotations

from typing import Any, Mapping

from provision.host.failure import Failure
from provision.host.machine import Machine
from provision.host.services import containers
from provision.host.state import durable

_WRITES_IT = "run `provision apply`, which writes it"


def key(machine: Machine, spec: Mapping[str, Any]) -> str | None:
    """Return the key of a probe's service, None when it has none.

    Args:
        machine: where it runs.
        spec: `key_name`, a variable, and `key_file` or `container` with `engine`, which have it.

    Raises:
        Failure: the variable is not there.
    """
    name = spec.get("key_name")
    if name and spec.get("container"):
        return _of_container(machine, spec, name)
    return read_key(spec.get("key_file"), name)


def read_key(path: str | None, name: str | None) -> str | None:
    """Return the value of a variable in an environment file, unquoted as systemd and the shell do it.

    Raises:
        Failure: the file or the variable is not there.
    """
    if not path or not name:
        return None
    try:
        text = durable.read(path)
    except PermissionError:
        raise Failure(f"{path} cannot be read, and the key of the service is in it") from None
    for line in (text or "").splitlines():
        found, equals, value = line.strip().partition("=")
        if equals and found == name:
            return _unquoted(value)
    raise Failure(f"{path} holds no {name}", hint=_WRITES_IT)


def _of_container(machine: Machine, spec: Mapping[str, Any], name: str) -> str:
    """Return the value of a variable as the running container has it."""
    engine = containers.require(spec.get("engine"))
    found = containers.container(machine, engine, spec["container"])
    for variable in found["Config"].get("Env") or [] if found else []:
        known, _, value = variable.partition("=")
        if known == name:
            return str(value)
    raise Failure(f"the container {spec['container']} has no variable {name}", hint=_WRITES_IT)


def hidden(text: str, key: str | None) -> str:
    """Return a text without the key."""
    return text.replace(key, "***") if key else text


def _unquoted(value: str) -> str:
    if len(value) >= 2 and value[0] == value[-1] == "'":
        return value[1:-1]
    if len(value) < 2 or not value[0] == value[-1] == '"':
        return value
    inner, out, at = value[1:-1], [], 0
    while at < len(inner):
        if inner[at] == "\\" and at + 1 < len(inner) and inner[at + 1] in '"\\`$':
            at += 1
        out.append(inner[at])
        at += 1
    return "".join(out)
