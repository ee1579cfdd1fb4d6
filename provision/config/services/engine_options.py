"""What a container is given by its engine, in compose's words: devices, limits, rights, health.

Only what docker and podman both have. Each value is brought into one form here, so that two ways to write the
same are no difference.
"""

from __future__ import annotations

import re
import shlex
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, PlainValidator
from pydantic import WithJsonSchema as JsonSchema

from provision.config.model import Count, Duration, Model, OneOrMany, Text, reject, shaped
from provision.config.problems import found, quoted

_DEVICE = r"/dev/[^\s:]+(:/[^\s:]+)?(:[rwm]{1,3})?|[A-Za-z0-9.-]+/[A-Za-z0-9_.-]+=[A-Za-z0-9_.:-]+"
_DEVICE_HINT = "write /dev/name, /dev/name:/dev/inside:rwm, or a CDI name such as amd.com/gpu=0"

Device = Annotated[str, shaped(_DEVICE, "a device", _DEVICE_HINT)]
"""A device of the host, where it is in the container, and what is allowed; or a CDI name."""


def _plain_capability(value: str) -> str:
    return value.upper().removeprefix("CAP_")


Capability = Annotated[
    str,
    shaped(r"[A-Za-z_]+", "a capability", "write it such as SYS_PTRACE"),
    AfterValidator(_plain_capability),
]
"""A Linux capability without `CAP_`, or ALL."""


def _number_as_text(value: Any) -> Any:
    is_number = isinstance(value, int) and not isinstance(value, bool) and value >= 0
    return str(value) if is_number else value


_NAME = r"[A-Za-z0-9_][A-Za-z0-9_.-]*"

Group = Annotated[
    str,
    shaped(_NAME, "a group", "write its number or its name in the image"),
    BeforeValidator(_number_as_text),
    JsonSchema({"type": ["string", "integer"]}),
]
"""A group by number, or by its name in the image."""

User = Annotated[
    str,
    shaped(rf"{_NAME}(:{_NAME})?", "a user", 'write 1000, "1000:1000", or a name of the image'),
    BeforeValidator(_number_as_text),
    JsonSchema({"type": ["string", "integer"]}),
]
"""A user by number or by its name in the image, and maybe a group after a colon."""


def _security(value: str) -> str:
    """Write `seccomp:unconfined`, as compose does, like `seccomp=unconfined`, which podman wants."""
    return re.sub(r"^([a-z-]+):", r"\1=", value)


SecurityOption = Annotated[Text, AfterValidator(_security)]


def _limit(name: str, value: Any) -> str:
    form = f"write {name}: 65535, {name}: -1, or {name}: {{soft: 1024, hard: 65535}}"
    if isinstance(value, dict) and set(value) == {"soft", "hard"}:
        bounds = [value["soft"], value["hard"]]
    else:
        bounds = [value, value]
    if not all(isinstance(bound, int) and not isinstance(bound, bool) and bound >= -1 for bound in bounds):
        raise reject("wrong-form", f"{quoted(str(name))} expects a limit, found {found(value)}", form)
    return f"{name}={bounds[0]}:{bounds[1]}"


def _ulimits(value: Any) -> list[str]:
    if not isinstance(value, dict):
        message = f"expected a mapping of limits, found {found(value)}"
        raise reject("wrong-type", message, "write {memlock: -1, nofile: 65535}")
    for name in value:
        if not re.fullmatch(r"[a-z]+", str(name)):
            hint = "write one such as memlock, nofile, nproc, stack or core"
            raise reject("wrong-form", f"{found(name)} is not the name of a limit", hint)
    return [_limit(name, value[name]) for name in sorted(value)]


Ulimits = Annotated[list[str], PlainValidator(_ulimits), JsonSchema({"type": "object"})]
"""Limits of its processes, as `name=soft:hard`."""


def _pairs(separator: str, example: str) -> Any:
    """Allow a mapping, or a list of `name=value` texts, as compose does."""

    def check(value: Any) -> list[str]:
        pairs: dict[str, str] = {}
        if isinstance(value, dict):
            items = list(value.items())
        elif isinstance(value, list) and all(isinstance(item, str) and separator in item for item in value):
            items = [(item.partition(separator)[0], item.partition(separator)[2]) for item in value]
        else:
            raise reject("wrong-type", f"expected a mapping, found {found(value)}", f"write {{{example}}}")
        for name, item in items:
            if isinstance(item, bool):
                item = "true" if item else "false"
            fits = isinstance(item, (str, int, float)) and name
            if not fits or re.search(r"[\x00-\x1f]", f"{name}{item}"):
                message = f"{quoted(str(name))} expects one line of text, found {found(item)}"
                raise reject("wrong-form", message, "put it in quotes")
            pairs[str(name)] = str(item)
        return [f"{name}{separator}{pairs[name]}" for name in sorted(pairs)]

    return PlainValidator(check)


_PAIRS = JsonSchema({"anyOf": [{"type": "object"}, {"type": "array", "items": {"type": "string"}}]})

Labels = Annotated[list[str], _pairs("=", "com.example.owner: ops"), _PAIRS]
"""Labels, as `name=value`."""

Sysctls = Annotated[list[str], _pairs("=", "net.core.somaxconn: 1024"), _PAIRS]
"""Parameters of the kernel, as `name=value`."""

ExtraHosts = Annotated[list[str], _pairs(":", "hub.internal: 10.0.0.5"), _PAIRS]
"""More names for /etc/hosts, as `name:address`."""

TmpfsMount = Annotated[
    str, shaped(r"/[^\s:]*(:[a-z0-9=,_.%-]+)?", "a place for a tmpfs", "write /run or /run:size=64m")
]
TmpfsMounts = Annotated[list[TmpfsMount], OneOrMany()]

Processor = Annotated[str, shaped(r"[0-9]+(-[0-9]+)?(,[0-9]+(-[0-9]+)?)*", "processors", "write 0-3 or 0,1")]


def _cpus(value: Any) -> float:
    try:
        number = float(value) if not isinstance(value, bool) else 0.0
    except (TypeError, ValueError):
        number = 0.0
    if not 0 < number < 100_000:
        raise reject("wrong-form", f"expected a number of processors, found {found(value)}", "write 1.5 or 8")
    return number


Cpus = Annotated[float, PlainValidator(_cpus), JsonSchema({"type": ["number", "string"]})]


def _test(value: Any) -> str | None:
    """Return the text for a shell, as both engines take one; None for NONE."""
    if isinstance(value, str) and value.strip():
        return value
    if isinstance(value, list) and value and all(isinstance(item, str) for item in value):
        how, *rest = value
        if how == "NONE" and not rest:
            return None
        if how == "CMD" and rest:
            return shlex.join(rest)
        if how == "CMD-SHELL" and len(rest) == 1:
            return str(rest[0])
    hint = 'write text for a shell, ["CMD", program, argument], or ["CMD-SHELL", text]'
    raise reject("wrong-form", f"expected a command, found {found(value)}", hint)


class Healthcheck(Model):
    """How the engine tests whether a container is healthy; what proves the service here is `checks`."""

    test: Annotated[
        str | None,
        PlainValidator(_test),
        JsonSchema({"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}]}),
    ] = None
    """The command: text for a shell, `["CMD", program, argument]`, or `["NONE"]`."""
    interval: Duration | None = None
    """The time between two tests."""
    timeout: Duration | None = None
    """How long one test may take."""
    retries: Count | None = None
    """How many must fail in a row."""
    start_period: Duration | None = None
    """The time after the start in which a failure does not count."""
    disable: bool = False
    """Whether the image's own is switched off."""


def _signal(value: Any) -> str:
    if isinstance(value, str) and re.fullmatch(r"(SIG)?[A-Z0-9+]+", value):
        return value if value.startswith("SIG") or value.isdigit() else f"SIG{value}"
    raise reject("wrong-form", f"expected a signal, found {found(value)}", "write it such as SIGINT")


Signal = Annotated[str, PlainValidator(_signal), JsonSchema({"type": "string"})]

Address = Annotated[str, shaped(r"[0-9a-fA-F.:]+", "an address", "write it such as 10.0.0.2")]
Addresses = Annotated[list[Address], OneOrMany()]
