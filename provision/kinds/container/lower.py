"""From a service of kind `container` to its resources."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, Any

from provision.catalog import text
from provision.catalog.layout import unit_name, unit_path
from provision.catalog.text import SecretPart, SecretText
from provision.kinds.common import certificates, checks, endpoint, files, spoken, trust, turn
from provision.kinds.common.context import ServiceContext
from provision.kinds.common.endpoint import Endpoint
from provision.kinds.common.offer import Offer, of_spoken
from provision.wire.record import Record
from provision.wire.specs.container import ContainerSpec, EngineOptions, Port
from provision.wire.specs.directory import DirectorySpec
from provision.wire.specs.file import FileSpec
from provision.wire.specs.model import ModelSpec

if TYPE_CHECKING:
    from provision.kinds.container.fields import ContainerService

FIND = (
    "e=$$(command -v podman); "
    "[ x$$e != x ] && ! [ -e /var/run/docker.sock ] || e=$$(command -v docker || echo $$e)"
)
"""Finds the engine in a unit as the host side does: docker first, unless only its client is there."""


def lower(context: ServiceContext[ContainerService]) -> None:
    """Add the resources of a container."""
    builder, name, service = context.builder, context.name, context.service
    for variable, value in service.env.items():
        with context.blame("env", variable):
            text.check(value if isinstance(value, str) else "")
    sources = [volume.source for volume in service.volumes]
    found = [
        *files.below(builder, sources),
        *files.below(builder, sources, ModelSpec),
        *files.named(builder, service.env_file),
        *files.named(builder, certificates.paths(service.tls)),
    ]
    read = list(dict.fromkeys(found))
    for id in read:
        builder.resources[id].triggers.append(name)
    trust.own_code(context, service.command or [])
    port = _port(service)
    gpus = ["all"] if service.gpus == "all" else [str(gpu) for gpu in service.gpus or []]
    number, address = (port.port, port.address) if port else (None, None)
    taken = turn.of(gpus, {}, number, address, turn.STILL if port is None else turn.SETTLED)
    made = [_unit(context, taken)] if context.systemd else []
    if taken and context.systemd:
        made.append(turn.add(context))
    given = {
        **_same(service, ContainerSpec),
        "env": {
            variable: value if isinstance(value, str) else SecretText((SecretPart(value),))
            for variable, value in service.env.items()
        },
        "secrets": [variable for variable, value in service.env.items() if not isinstance(value, str)],
        "gpus": gpus,
        "cards": list(taken.cards) if taken and context.systemd else None,
    }
    if context.systemd:
        given["restart"] = "no"  # only one of them must start it again
    spec = ContainerSpec(
        **given,
        service=name,
        unit=unit_name(name) if context.systemd else None,
        container=service.name or name,
        env_files=service.env_file,
        options=engine_options(service),
    )
    reached_at = Endpoint(
        port=number,
        bind=address,
        tls=spoken.tls(service, service.command or []),
        ca=certificates.ca(service.tls),
        model=spoken.model(service, service.command or []),
        key_name=spoken.key(service),
        key_field=spoken.KEY_FIELD,
        checks=checks.specs(context) or [checks.undeclared(port is not None)],
    )
    needs = [*context.after, *read, *files.below(builder, sources, DirectorySpec), *made]
    stop = f"{context.sudo}{spec.engine or 'docker|podman'} stop {shlex.quote(spec.container)}"
    loaded = [builder.resources[id].spec for id in read]
    models = [each.path for each in loaded if isinstance(each, ModelSpec)]
    stake = turn.stake(name, taken, port=number, models=models)
    endpoint.add(context, spec, reached_at, needs=needs, made=made, stop=stop, stake=stake)


def offers(service: ContainerService, name: str) -> Offer:
    """Return what a container offers to a gateway: what is behind its first port."""
    port = _port(service)
    number, address = (port.port, port.address) if port else (None, None)
    return of_spoken(service, service.command or [], number, address)


def _port(service: ContainerService) -> Port | None:
    """Return the port that checks and gateways go to."""
    return next((port for port in service.ports if port.protocol == "tcp"), None)


def engine_options(service: ContainerService) -> EngineOptions:
    """Return the engine's options, besides image, command, variables, ports and volumes."""
    given = _same(service, EngineOptions)
    health = service.healthcheck
    if health is not None:
        seconds = {name: getattr(health, name) for name in ("interval", "timeout", "start_period")}
        given |= {f"health_{name}": f"{value:g}s" for name, value in seconds.items() if value is not None}
        given |= {"health_cmd": health.test, "health_retries": health.retries}
        given["no_healthcheck"] = health.disable or ("test" in health.model_fields_set and not health.test)
    return EngineOptions(**{name: value for name, value in given.items() if value not in (None, False, [])})


def _same(service: ContainerService, record: type[Record]) -> dict[str, Any]:
    """Return the fields that the service has under the same names as a record."""
    names = [name for name in record.FIELDS if name in type(service).model_fields]
    return {name: getattr(service, name) for name in names}


def _unit(context: ServiceContext[ContainerService], taken: turn.Turn | None) -> str:
    """Add the unit that runs the container; returns its id."""
    service = context.service
    waits = taken.words(context) if taken else []
    content = context.templates.render(
        "container.unit.j2",
        {
            "managed": context.managed,
            "description": text.unit(f"container service {context.name} (provision)"),
            "engine": service.engine,
            "find": f"e={service.engine}" if service.engine else FIND,
            "container": text.unit_word(service.name or context.name, command=True),
            "unit_name": text.unit(unit_name(context.name).removesuffix(".service")),
            "turn": " ".join(text.unit_word(word, command=True) for word in waits),
            "stop_timeout": f"{service.stop_timeout:.0f}",
            "stop_limit": f"{service.stop_timeout + 30:.0f}",
            "restart": "always" if service.restart == "unless-stopped" else service.restart,
        },
    )
    path = unit_path(context.name)
    spec = FileSpec(
        path=path,
        content=content,
        owner="root",
        validate="systemd",
        quiet=turn.QUIET if taken else None,
    )
    return context.add(f"file:{path}", spec, path, triggers=[context.name])
