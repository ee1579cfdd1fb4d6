"""The hosts over which one service runs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, Literal, Self

from pydantic import PlainValidator, model_validator
from pydantic import WithJsonSchema as JsonSchema

from provision.config.model import (
    PATTERN_NAME,
    Called,
    Model,
    Name,
    Range,
    Text,
    name,
    reject,
    shaped,
    unique,
)
from provision.config.problems import found

PORTS = 3
"""Ports that the head opens for the others."""


def _hosts(value: Any) -> Any:
    if isinstance(value, int) and not isinstance(value, bool):
        if value < 2:
            raise reject(
                "out-of-range", f"expected at least 2 nodes, found {value}", "leave `nodes` out for one"
            )
        return value
    if isinstance(value, str):
        return name(value)
    if isinstance(value, list) and value and all(isinstance(each, str) for each in value):
        return unique([name(each) for each in value])
    hint = "write [gpu-1, gpu-2], the name of a group, or 2"
    raise reject("wrong-type", f"expected hosts, a group or a number of nodes, found {found(value)}", hint)


_NAME = {"type": "string", "pattern": f"^{PATTERN_NAME}$"}
Hosts = Annotated[
    list[str] | str | int,
    PlainValidator(_hosts),
    JsonSchema(
        {
            "anyOf": [
                {"type": "array", "items": _NAME, "minItems": 1, "uniqueItems": True},
                _NAME,
                {"type": "integer", "minimum": 2},
            ]
        }
    ),
    Called("hosts, a group, or a number"),
]
"""Hosts in their order, the name of a group, or a number of hosts."""


Interface = Annotated[Text, shaped(r"[^\s/:,=]{1,15}", "the name of a network interface", "write eth1")]
"""The name of a network interface of a host."""


@dataclass(frozen=True)
class All:
    """All hosts of a play as nodes.

    Args:
        head: the one that is the first of them.
    """

    head: str


@dataclass(frozen=True)
class Of:
    """The nodes of another service of the play.

    Args:
        service: its name.
        kind: its kind.
    """

    service: str
    kind: str


class Nodes(Model):
    """The hosts over which one service runs: its nodes. The first is its head, which takes the requests."""

    engine: Literal["mp", "ray"] = "mp"
    """What connects the nodes: `mp`, vLLM's own (vLLM 0.11.2 and later), or `ray`, a Ray cluster."""
    hosts: Hosts | None = None
    """For `mp`: the hosts of the play, the head first; a group that has them; or a number: each so many hosts
    of the play are one service.
    """
    cluster: Name | None = None
    """For `ray`: the service of kind `ray` of the same play, of which the nodes are."""
    interface: Interface | None = None
    """The network interface between the nodes, the same on each. Default: the one that reaches the head."""
    addresses: dict[Name, Text] = {}
    """The address of a host as the other nodes reach it, when it is not the one in the inventory."""
    port: Annotated[int, Range(1024, 65535 - PORTS + 1)] = 29500
    """The first of three ports that the head opens for the other nodes; with `ray` it
    opens the second alone.
    """
    firewall: bool = False
    """Close the ports between the nodes to all other hosts, by a table of nftables that the service has to
    itself, as long as it runs. The nodes need the package `nftables`.
    """

    @model_validator(mode="after")
    def _fits(self) -> Self:
        ray = self.engine == "ray"
        needed, other = ("cluster", "hosts") if ray else ("hosts", "cluster")
        if getattr(self, needed) is None:
            hint = "name the service of kind `ray`" if ray else "name the hosts, the head first"
            raise reject("missing-key", f"`engine: {self.engine}` needs `{needed}`", hint, at="engine")
        for key in (other, *(("interface", "addresses", "firewall") if ray else ())):
            if getattr(self, key):
                message = f"`{key}` is not for `engine: {self.engine}`"
                hint = "the cluster says it" if ray else "write `engine: ray` with it"
                raise reject("conflicting-keys", message, hint, at=key)
        return self

    @property
    def where(self) -> Nodes | Of:
        """What says which hosts they are."""
        return Of(self.cluster, "ray") if self.cluster is not None else self

    @property
    def ports(self) -> range:
        """The ports that the head opens."""
        return (
            range(self.line, self.line + 1) if self.engine == "ray" else range(self.port, self.port + PORTS)
        )

    @property
    def line(self) -> int:
        """The port to which the other ranks keep their lines."""
        return self.port + 1

    @property
    def data(self) -> int:
        """The port of vLLM's data parallelism."""
        return self.port + 2
