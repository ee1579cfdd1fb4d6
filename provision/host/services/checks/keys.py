"""The key that a service asks for, read where the service itself has it."""

from __future__ import annotations

import re

from provision.host.failure import Failure
from provision.host.machine import Machine
from provision.host.services.containers import engines
from provision.host.state import durable
from provision.wire.specs.probe import ProbeSpec

_WRITES_IT = "run `provision apply`, which writes it"


def key(machine: Machine, spec: ProbeSpec) -> str | None:
    """Return the key of a probe's service, from its container or its environment file; None without one.

    Raises:
        Failure: the variable is not there.
    """
    if spec.key_name and spec.container:
        return _of_container(machine, spec, spec.key_name)
    return _of_file(spec.key_file, spec.key_name) if spec.key_file and spec.key_name else None


def _of_file(path: str, name: str) -> str:
    """Return the value of a variable in an environment file, unquoted as systemd and the shell do it."""
    try:
        text = durable.read(path)
    except PermissionError:
        raise Failure("file-refused", f"{path} cannot be read, and the key of the service is in it") from None
    for line in (text or "").splitlines():
        found, equals, value = line.strip().partition("=")
        if equals and found == name:
            return _unquoted(value)
    raise Failure("missing-api-key", f"{path} has no {name}", hint=_WRITES_IT)


def _of_container(machine: Machine, spec: ProbeSpec, name: str) -> str:
    """Return the value of a variable as the running container has it."""
    found = engines.container(machine, engines.require(spec.engine), spec.container or "")
    variables = dict(each.partition("=")[::2] for each in found["Config"].get("Env") or []) if found else {}
    if name not in variables:
        message = f"the container {spec.container} has no variable {name}"
        raise Failure("missing-api-key", message, hint=_WRITES_IT)
    return str(variables[name])


def hidden(text: str, key: str | None) -> str:
    """Return a text without the key."""
    return text.replace(key, "***") if key else text


def _unquoted(value: str) -> str:
    if len(value) >= 2 and value[0] == value[-1] == "'":
        return value[1:-1]
    if len(value) < 2 or not value[0] == value[-1] == '"':
        return value
    return re.sub(r'\\(["\\`$])', r"\1", value[1:-1])
