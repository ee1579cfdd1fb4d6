"""The key that a service asks for, read where the service itself has it."""

from __future__ import annotations

from provision.host.failure import Failure
from provision.host.machine import Machine
from provision.host.services.containers import engines
from provision.host.state import durable
from provision.wire.specs.probe import ProbeSpec

_WRITES_IT = "run `provision apply`, which writes it"


def key(machine: Machine, spec: ProbeSpec) -> str | None:
    """Return the key of a probe's service, None when it has none.

    Args:
        machine: where it runs.
        spec: with the variable, and the file or container that has it.

    Raises:
        Failure: the variable is not there.
    """
    if spec.key_name and spec.container:
        return _of_container(machine, spec, spec.key_name)
    return read_key(spec.key_file, spec.key_name)


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
        raise Failure("file-refused", f"{path} cannot be read, and the key of the service is in it") from None
    for line in (text or "").splitlines():
        found, equals, value = line.strip().partition("=")
        if equals and found == name:
            return _unquoted(value)
    raise Failure("missing-api-key", f"{path} holds no {name}", hint=_WRITES_IT)


def _of_container(machine: Machine, spec: ProbeSpec, name: str) -> str:
    """Return the value of a variable as the running container has it."""
    engine = engines.require(spec.engine)
    found = engines.container(machine, engine, spec.container or "")
    for variable in found["Config"].get("Env") or [] if found else []:
        known, _, value = variable.partition("=")
        if known == name:
            return str(value)
    raise Failure(
        "missing-api-key", f"the container {spec.container} has no variable {name}", hint=_WRITES_IT
    )


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
