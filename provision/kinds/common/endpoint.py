"""How clients reach a service, and what proves it: the same for programs and containers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from provision.catalog.catalog import ServiceInfo
from provision.kinds.common.context import ServiceContext
from provision.wire.requests import Service
from provision.wire.server import Server
from provision.wire.spec import Supervised
from provision.wire.specs.container import ContainerSpec
from provision.wire.specs.probe import ProbeSpec

if TYPE_CHECKING:
    from provision.wire.checks import Check
    from provision.wire.nodes import Node
    from provision.wire.requests import Stake


@dataclass(kw_only=True)
class Endpoint:
    """How clients reach a service, and what proves it.

    Args:
        port: where it listens; None when that is not known.
        bind: the address it listens on; None for all.
        socket: the unix socket on which it listens instead of a port.
        tls: whether it speaks TLS.
        ca: what checks verify its certificate by: a file on the host; None when they do not.
        model: name under which requests ask for it; None when only the server knows it.
        key_name: the variable that holds the API key; None for a service that asks for none.
        key_file: the env file that it is in, when that is not the one of the service.
        key_field: the field by which the service declares one.
        health: whether the server has a page `/health` that says when it is ready.
        checks: the proof.
        asks: other hosts whose services answer when it is asked; its proof comes after theirs.
        proofs: ids of proofs on its own host that its own comes after.
        node: which node of several it is; None for what runs on one host.
    """

    port: int | None
    bind: str | None = None
    socket: str | None = None
    tls: bool = False
    ca: str | None = None
    model: str | None = None
    key_name: str | None = None
    key_file: str | None = None
    key_field: str = "api_key"
    health: bool = False
    checks: list[Check]
    asks: Sequence[str] = ()
    proofs: Sequence[str] = ()
    node: Node | None = None

    def url(self, everywhere: str) -> str | None:
        """Return where it answers, None without a port or a socket.

        Args:
            everywhere: the address to name when it listens on every one.
        """
        if self.socket is not None:
            return f"unix:{self.socket}"
        if self.port is None:
            return None
        address = everywhere if self.bind in (None, "", "0.0.0.0", "::", "*") else str(self.bind)
        scheme = "https" if self.tls else "http"
        return (
            f"{scheme}://[{address}]:{self.port}" if ":" in address else f"{scheme}://{address}:{self.port}"
        )


def add(
    context: ServiceContext[Any],
    spec: Server | ContainerSpec,
    endpoint: Endpoint,
    *,
    needs: Sequence[str],
    made: Sequence[str],
    stop: str,
    stake: Stake | None,
    drain: float = 0.0,
) -> None:
    """Add what runs a service and its proof, and describe the service.

    Args:
        context: the service.
        spec: what runs it.
        endpoint: how clients reach it.
        needs: ids that it cannot run without.
        made: ids of its files.
        stop: the command that stops it, where systemd does not supervise it.
        stake: what decides on the host whether it runs; None when nothing can be foreseen.
        drain: seconds that a stop may wait for running requests.
    """
    name, service, builder, play = context.name, context.service, context.builder, context.play
    label = f"{'container' if spec.container else 'service'} {name}"
    kind = "container" if spec.container else "unit" if spec.unit else "process"
    runner = context.add(f"{kind}:{name}", spec, label, needs=needs)
    supervised = {field: getattr(spec, field) for field in Supervised.FIELDS}
    probe = ProbeSpec(
        **supervised,
        health=endpoint.health,
        url=endpoint.url("127.0.0.1") or "",
        ca=endpoint.ca,
        model=endpoint.model,
        # A container gets its variables from its engine.
        key_file=(endpoint.key_file or context.env_file)
        if endpoint.key_name and not spec.container
        else None,
        key_name=endpoint.key_name,
        key_field=endpoint.key_field,
        checks=endpoint.checks,
        timeout=service.start_timeout,
        cards=spec.cards,
        nodes=list(spec.meeting.node.names) if isinstance(spec, Server) and spec.meeting is not None else [],
    )
    proof = context.add(f"probe:{name}", probe, f"answer of {name}", needs=[runner, *endpoint.proofs])
    facts = Service(
        **supervised,
        kind=service.kind,
        supervisor="systemd" if spec.unit else "engine" if spec.container else "script",
        port=endpoint.port,
        url=endpoint.url(context.outside),
        model=endpoint.model,
        node=endpoint.node,
    )
    if spec.unit:
        stop = f"{context.sudo}systemctl stop {spec.unit}"
    tags = frozenset(play.fields.tags) | frozenset(service.tags)
    resources = [*made, runner, proof]
    builder.services.append(
        ServiceInfo(
            builder.host.name,
            play.playbook,
            facts,
            stop,
            resources,
            tags,
            stake,
            drain,
            asks=tuple(endpoint.asks),
            group=context.group.names if context.group is not None else (),
            joins=context.group is not None and context.group.joins,
        )
    )
