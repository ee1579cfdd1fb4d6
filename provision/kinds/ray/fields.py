"""Service kind `ray`: a Ray cluster over the hosts of a play."""

from __future__ import annotations

import ipaddress
import json
from collections.abc import Iterator
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, PlainValidator, model_validator
from pydantic import WithJsonSchema as JsonSchema

from provision.config.model import ByteSize, HostPath, Name, Port, PositiveDuration, Range, Text, reject
from provision.config.problems import found
from provision.config.references import SecretReference
from provision.config.services.base import Listener, Service
from provision.config.services.gpus import VisibleGpus
from provision.config.services.nodes import Interface

PORTS = 8
"""Ports in a row that Ray's own processes use."""

LOOPBACK = "127.0.0.1"

LEAST_STORE = 75 << 20
"""Bytes below which Ray refuses an object store."""

TOKEN, MODE = "RAY_AUTH_TOKEN", "RAY_AUTH_MODE"
"""The variables with the token, and what makes Ray ask for it."""


def _resources(value: Any) -> Any:
    if not isinstance(value, dict) or not all(isinstance(name, str) and name for name in value):
        raise reject("wrong-type", f"expected numbers by name, found {found(value)}", "write {nvme: 1}")
    for name, number in value.items():
        if isinstance(number, bool) or not isinstance(number, (int, float)) or number < 0:
            raise reject("wrong-type", f"expected a number for `{name}`, found {found(number)}")
        if name in ("CPU", "GPU", "memory", "object_store_memory"):
            hint = "use num_cpus, gpus or object_store_memory"
            raise reject("conflicting-keys", f"`{name}` is not a resource of one's own", hint)
    json.dumps(value)
    return value


def _addresses(value: dict[str, str]) -> dict[str, str]:
    for name, address in value.items():
        try:
            known = ipaddress.ip_address(address.strip("[]"))
        except ValueError:
            continue
        if known.is_unspecified or known.is_loopback or known.is_multicast:
            message = f"{address} is no address by which other hosts reach {name}"
            raise reject("wrong-form", message, "write the one that its network between the nodes has")
    return value


def _store(value: int) -> int:
    if value < LEAST_STORE:
        raise reject("out-of-range", f"Ray wants at least 75 MiB for objects, found {value} bytes")
    return value


class RayService(Service):
    """A Ray cluster: each host of the play is a node of it."""

    kind: Literal["ray"]
    """What runs."""
    environment: Name
    """The environment (of `environments:`) that pins ray. All nodes need the same Ray and the same Python."""
    head: Name
    """The host of the play that is the head."""
    interface: Interface | None = None
    """The network interface between the nodes, the same on each. Default: the one that reaches the head."""
    addresses: Annotated[dict[Name, Text], AfterValidator(_addresses)] = {}
    """The address of the head as the other nodes reach it, by its host, when it is not the one in the
    inventory; with `firewall`, also those from which the other nodes come.
    """
    firewall: bool = False
    """Close the ports of the nodes to all other hosts, by a table of nftables that the service has to itself,
    as long as it runs. The nodes need the package `nftables`.
    """
    port: Annotated[int, Range(1024, 65535 - PORTS + 1)] = 6379
    """The first of eight ports in a row for Ray's own processes; the head's is what clients connect to."""
    min_worker_port: Port = 20000
    """The first port for the processes that run tasks; they take one each."""
    max_worker_port: Port = 20999
    """The last of these ports."""
    dashboard_port: Port | None = None
    """The port of the dashboard, on 127.0.0.1 of the head; not set: none. It needs `ray[default]`."""
    token: SecretReference | None = None
    """The token that every client and every node must send (Ray 2.52 and later). Not set: whoever reaches the
    ports may run any program on the nodes.
    """
    num_cpus: Annotated[int, Range(0, 4096)] | None = None
    """The CPUs that a node offers to tasks. Default: all that Ray finds."""
    gpus: VisibleGpus | None = None
    """The GPUs that a node offers, by index or UUID; not set: all of the host."""
    resources: Annotated[
        dict[str, float],
        PlainValidator(_resources),
        JsonSchema({"type": "object", "additionalProperties": {"type": "number", "minimum": 0}}),
    ] = {}
    """What else a node offers, in numbers that tasks can ask for: `{nvme: 1}`."""
    object_store_memory: Annotated[ByteSize, AfterValidator(_store)] | None = None
    """The shared memory for objects on each node. Default: Ray's, 30 % of what is free."""
    temp_dir: HostPath | None = None
    """The directory for sessions, logs and sockets of Ray. Default: one of the service's own. The path has to
    be short, as those of sockets are limited.
    """
    start_timeout: PositiveDuration = 300.0
    """How long it may take until all nodes are there."""

    @model_validator(mode="after")
    def _fits(self) -> Self:
        own = range(self.port, self.port + PORTS)
        if self.max_worker_port < self.min_worker_port:
            raise reject("out-of-range", "the last port is before the first one", at="max_worker_port")
        if own.start <= self.max_worker_port and self.min_worker_port < own.stop:
            message = f"ports {own.start} to {own.stop - 1} are those of Ray's own processes"
            raise reject("conflicting-keys", message, "choose others for workers", at="min_worker_port")
        if self.dashboard_port is not None and self.dashboard_port in own:
            message = f"port {self.dashboard_port} is one of Ray's own processes"
            raise reject("conflicting-keys", message, "choose another", at="dashboard_port")
        if self.checks:
            message = "a Ray cluster answers no requests; it is proven when all of its nodes are alive"
            raise reject("impossible-check", message, "leave `checks` out", at="checks")
        for name in (TOKEN, MODE):
            if name in self.env:
                message = f"{name} is what the field token sets"
                raise reject("conflicting-keys", message, "write `token: {env: NAME}`", at="env")
        if self.gpus is not None and "CUDA_VISIBLE_DEVICES" in self.env:
            message = "CUDA_VISIBLE_DEVICES is what the field gpus sets"
            raise reject("conflicting-keys", message, "leave out one of the two", at="gpus")
        return self

    def listeners(self) -> Iterator[Listener]:
        """Those of Ray's own processes, and the dashboard."""
        for each in range(PORTS):
            yield Listener(("port",), None, self.port + each, head=each in (0, PORTS - 1))
        if self.dashboard_port is not None:
            yield Listener(("dashboard_port",), LOOPBACK, self.dashboard_port, head=True)
