"""Service kind `gateway`: one address and one set of keys for services of this and other hosts."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BeforeValidator, model_validator

from provision.config.model import (
    ByteSize,
    Called,
    Count,
    HostPath,
    Model,
    Name,
    Port,
    PositiveDuration,
    Range,
    Text,
    reject,
    shaped,
    unique,
)
from provision.config.problems import found
from provision.config.references import SecretReference
from provision.config.services.base import Listener, Service, Tls

KIB, MIB = 1 << 10, 1 << 20

SELF_SIGNED = "self-signed"
"""At `tls`: make a certificate on the host."""

_PATH = r"(GET|POST) /[A-Za-z0-9._~/-]*"


def _some(value: list[str]) -> list[str]:
    if not value:
        raise reject(
            "empty-value", "a gateway needs a service to pass requests to", "name one in `upstreams`"
        )
    return value


def _no_step(value: str) -> str:
    path = value.partition(" ")[2]
    if "//" in path or any(part in (".", "..") for part in path.split("/")):
        raise reject("wrong-form", f"{found(value)} is no plain path", "write it without `//`, `.` and `..`")
    return value


def _tls(value: Any) -> Any:
    if isinstance(value, str) and value != SELF_SIGNED:
        hint = f"write {{cert: PATH, key: PATH}}, or {SELF_SIGNED}"
        raise reject("wrong-type", f"expected a certificate, found {found(value)}", hint)
    return value


def _bytes(low: int, high: int) -> AfterValidator:
    def check(value: int) -> int:
        if not low <= value <= high:
            raise reject("out-of-range", f"expected {low} to {high} bytes, found {value}")
        return value

    return AfterValidator(check)


class Limits(Model):
    """What a gateway accepts; what is beyond it is refused, and reaches no server."""

    body: Annotated[ByteSize, _bytes(KIB, 1 << 40)] = 64 * MIB
    """The largest body of a request."""
    inspected: Annotated[ByteSize, _bytes(16 * KIB, 16 * MIB)] = MIB
    """How much of a body is read before a server is chosen: `model` has to be within it, and a body without
    Content-Length has to fit into it. Each request takes as much memory while it is read.
    """
    headers: Annotated[ByteSize, _bytes(KIB, 256 * KIB)] = 32 * KIB
    """The size of the headers of a request."""
    connections: Annotated[int, Range(1, 30000)] = 2000
    """The clients that may be connected at once; others wait until one leaves."""
    requests_per_minute: Count | None = None
    """Requests of one key (or, without keys, of one address) in a minute; not set: any number."""


class Timeouts(Model):
    """How long a gateway waits."""

    request: PositiveDuration = 30.0
    """For a client to send its headers, and then the part of its body that is inspected."""
    connect: PositiveDuration = 5.0
    """For a server to take the connection; then another one is tried."""
    answer: PositiveDuration = 1800.0
    """For the next bytes of an answer: before the first one a server queues and reads the prompt."""
    reload: PositiveDuration = 3600.0
    """For running requests to end, once a reload has put a new process in charge."""
    drain: PositiveDuration = 300.0
    """For the running requests of a server to end before its service is restarted."""


class Metrics(Model):
    """Where a gateway's own metrics for Prometheus are, at `/metrics`. They need no key."""

    host: Text = "127.0.0.1"
    """The address to listen on."""
    port: Port = 8405
    """The port to listen on."""


class GatewayService(Service):
    """A gateway."""

    kind: Literal["gateway"]
    """What runs."""
    start_timeout: PositiveDuration = 120.0
    """How long a start may take until the first answer, which comes from what is behind it."""
    upstreams: Annotated[list[Name], AfterValidator(_some), AfterValidator(unique)]
    """The services to pass requests to: on every host that has a service of this name."""
    host: Text = "0.0.0.0"
    """The address to listen on."""
    port: Port = 8080
    """The port to listen on."""
    tls: Annotated[
        Tls | Literal["self-signed"] | None,
        BeforeValidator(_tls),
        Called("mapping, or self-signed"),
    ] = None
    """The certificate for TLS: `{cert: PATH, key: PATH}`; `self-signed`: one that is made on the host."""
    keys: dict[Name, SecretReference] = {}
    """The keys that clients may send, by the name that the access log shows. Checks send the first."""
    addresses: dict[Name, Text] = {}
    """The address of a host as the gateway reaches it, when it is not the one in the inventory."""
    upstream_ca: HostPath | None = None
    """The CA to verify the certificates of upstreams by: a file on the host. Not set: none is verified."""
    paths: Annotated[
        list[
            Annotated[
                str, shaped(_PATH, "a method and a path", "write POST /v1/path"), AfterValidator(_no_step)
            ]
        ],
        AfterValidator(unique),
    ] = []
    """Paths to open besides those of the kinds of the upstreams: "POST /generate"."""
    queue: PositiveDuration | None = None
    """How long requests wait while no server of their service is up. Not set: they get 503 at once."""
    limits: Limits = Limits()
    """The sizes and numbers to accept."""
    timeouts: Timeouts = Timeouts()
    """How long to wait."""
    metrics: Metrics | None = Metrics()
    """Where the metrics are: `{host: 127.0.0.1, port: 8405}`; null: nowhere."""

    @model_validator(mode="after")
    def _fits(self) -> Self:
        names: dict[Any, str] = {}
        for name, key in self.keys.items():
            if key in names:
                message = f"the keys `{names[key]}` and `{name}` are the same secret"
                raise reject("conflicting-keys", message, "give each a secret of its own", at="keys")
            names[key] = name
        if self.supervisor == "script":
            message = "a gateway is supervised by systemd, which lets it reload without losing a request"
            raise reject("conflicting-keys", message, "leave `supervisor` out", at="supervisor")
        return self

    def listeners(self) -> Iterator[Listener]:
        """Its port, and that of its metrics."""
        yield Listener(("port",), self.host, self.port)
        if self.metrics is not None:
            yield Listener(("metrics",), self.metrics.host, self.metrics.port)

    def fronts(self) -> list[str]:
        """Its upstreams."""
        return self.upstreams
